"""One run from its parts to its record."""
