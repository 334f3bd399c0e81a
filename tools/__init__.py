"""Training runs and measurements; each module says its command, cost and expected result."""
