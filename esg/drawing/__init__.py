"""Draws entities and groundings."""
