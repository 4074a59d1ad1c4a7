"""Metrics, their intervals, and what an evaluation found."""
