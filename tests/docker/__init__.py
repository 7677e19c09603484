"""The image and its compose recipes, as far as they can be checked without an engine."""
