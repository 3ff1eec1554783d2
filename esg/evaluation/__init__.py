"""Metrics of the field, computed as the official evaluators do."""
