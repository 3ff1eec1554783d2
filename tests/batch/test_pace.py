"""Rate and time left."""

from __future__ import annotations

import pytest

from esg.batch.ledger import Summary
from esg.batch.pace import Pace, duration, speed
from esg.batch.shards import Shard, Source

PICTURES = [Shard(number, (Source(f"/{number}.jpg", str(number)),) * 10) for number in range(4)]
TARS = [Shard(number, (Source(f"/{number}.tar", str(number), "tar"),)) for number in range(4)]


class Run:
    """A run at whose end of each shard the clock shows a known time."""

    def __init__(self, shards: list[Shard]) -> None:
        self.now = 1000.0
        self.pace = Pace(shards, lambda: self.now)

    def done(self, now: float, seconds: float, photos: int = 9, errors: int = 1) -> str:
        """The line after a shard of 30 entities."""
        self.now = now
        self.pace.add(Summary(0, photos, 30, errors, seconds))
        return self.pace.line()


@pytest.mark.parametrize(
    ("shards", "before", "first", "second"),
    [
        (PICTURES, "0 of 40 photos", "10 of 40 photos", "20 of 40 photos"),
        (TARS, "0 photos, 0 of 4 shards", "10 photos, 1 of 4 shards", "20 photos, 2 of 4 shards"),
    ],
)
def test_the_start_does_not_count(shards: list[Shard], before: str, first: str, second: str) -> None:
    run = Run(shards)
    assert run.pace.line() == before
    assert run.done(1600, 70) == first
    assert run.done(1650, 50) == f"{second}, 5.0 s per photo, 1 min 40 s left"
    assert (run.pace.photos, run.pace.entities, run.pace.errors) == (18, 60, 2)
    run.now = 9999.0  # the rate is that of the shards, and does not fall while Ray is closed
    assert run.pace.rate == 0.2


def test_workers_that_finish_together_do_not_look_fast() -> None:
    """Two workers that each take 50 s for 10 photos; a second after the first shard, there is 1/50 of another one."""
    run = Run(PICTURES)
    run.done(1060, 50)
    assert run.done(1061, 50) == "20 of 40 photos, 5.0 s per photo, 1 min 40 s left"
    run.done(1110, 50)
    assert run.done(1111, 50) == "40 of 40 photos, 2.5 s per photo, 0 s left"


def test_the_rate_is_unknown_until_a_second_shard_has_photos() -> None:
    run = Run(TARS)
    assert run.done(1060, 50, errors=0) == "9 photos, 1 of 4 shards"
    assert run.done(1070, 10, photos=0, errors=0) == "9 photos, 2 of 4 shards"
    assert run.pace.rate is None
    assert run.done(1080, 10, errors=0) == "18 photos, 3 of 4 shards, 2.2 s per photo, 13 s left"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1234.5, "1,234.5 photos/s"),
        (1, "1.0 photos/s"),
        (0.95, "1.1 s per photo"),
        (0.02, "50 s per photo"),
        (0.01, "1 min 40 s per photo"),
    ],
)
def test_speed(rate: float, text: str) -> None:
    assert speed(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
