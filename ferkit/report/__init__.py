"""Reports and the one style of all plots."""
