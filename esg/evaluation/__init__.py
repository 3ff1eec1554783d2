"""Metrics of the field, computed like the official evaluators."""
