"""The tasks of `esg eval`, a file for each kind."""
