"""How long tests wait for something that always comes: much longer than the busiest machine takes."""

from __future__ import annotations

PATIENCE = 600
"""Seconds for a program. Only one that hangs takes so long; then the test fails instead of hanging as well."""

PAGE_PATIENCE = 120
"""Seconds for a change on a page; shorter, because where a page is broken, many tests wait in vain."""
