"""YAML text into documents that know their lines and columns, and the problems that point there."""
