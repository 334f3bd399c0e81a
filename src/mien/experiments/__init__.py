"""Experiments: one YAML for each table or figure of a paper, and the runner."""
