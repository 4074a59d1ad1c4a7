"""Searching for settings: a space, the trials drawn from it or decided by a study, and which of them are pruned."""
