"""The version, which `pyproject.toml` and `CITATION.cff` repeat."""

__version__ = "0.1.0"
