"""A candidate, its settings, and the loop that fits it."""
