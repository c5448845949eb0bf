"""Boxes for pictures that have none, by what a trained detector finds in them."""
