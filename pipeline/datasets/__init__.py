"""Data sets: sources behind one function each, their validation, and where a prepared one keeps its files."""
