"""The parts of the page: each builds its components and connects its events."""
