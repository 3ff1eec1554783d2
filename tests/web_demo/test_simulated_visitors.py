"""The visitors of `python -m benchmarks.page_visitors` know the page: its components, events and answers."""

from __future__ import annotations

from benchmarks.page_visitors import visit


def test_a_visitor_segments_two_photos_and_removes_something(address: str) -> None:
    assert len(visit(address, 1, photos=2, crops=0)) == 2
