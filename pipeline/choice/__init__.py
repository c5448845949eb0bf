"""``make use``: ``params.yaml`` switched to recipes, or to what suits a folder of the user's."""
