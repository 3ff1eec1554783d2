"""Rate and time left."""

from __future__ import annotations

import pytest

from esg.batch.ledger import Summary
from esg.batch.pace import Pace, duration
from esg.batch.shards import Shard, Source

PICTURES = [Shard(number, (Source(f"/{number}.jpg", str(number)),) * 10) for number in range(4)]
TARS = [Shard(number, (Source(f"/{number}.tar", str(number), "tar"),)) for number in range(4)]


@pytest.mark.parametrize(
    ("shards", "before", "after"),
    [
        (PICTURES, "0 of 40 photos", "10 of 40 photos, 0.5 photos/s, 1 min 0 s left"),
        (TARS, "0 photos, 0 of 4 shards", "10 photos, 1 of 4 shards, 0.5 photos/s, 1 min 0 s left"),
    ],
)
def test_pace(shards: list[Shard], before: str, after: str) -> None:
    now = 100.0
    pace = Pace(shards, lambda: now)
    assert pace.line() == before
    now = 120.0
    pace.add(Summary(0, photos=9, entities=30, errors=1))
    assert pace.line() == after
    assert (pace.photos, pace.entities, pace.errors) == (9, 30, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
