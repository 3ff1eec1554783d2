"""Shared by all packages: errors, checks, devices, files."""
