"""Finds, downloads, and converts weight files."""
