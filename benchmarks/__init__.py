"""Measurements of speed and robustness; each prints a table and can write it to docs/results."""
