"""Damaged inputs of every kind that the project reads, each given to the reader that the project uses.

``cases``: what a kind, a sample and an outcome are; ``byte_damage``, ``tree_damage``, ``odd_values``: the damage;
``inputs``: a module a kind, with its valid samples and its reader; ``workers``: the processes that cases run in.
"""
