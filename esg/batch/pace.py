"""The progress of a run: photos done, their rate, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from .ledger import Summary
from .shards import Shard


class Pace:
    """Counts the shards of a run as they are done.

    Args:
        shards: the shards that were not done when the run began.
        clock: the time in seconds.

    Attributes:
        photos, entities, errors: counts of this run.
    """

    def __init__(self, shards: Iterable[Shard], clock: Callable[[], float] = time.monotonic) -> None:
        shards = list(shards)
        known = [shard.photos for shard in shards]
        self.photos = self.entities = self.errors = 0
        self._shards, self._done = len(shards), 0
        # The pictures of a tar are only known once it is done; then the shards measure how far the run is.
        self._total = None if None in known else sum(filter(None, known))
        self._clock, self._began = clock, clock()

    def add(self, summary: Summary) -> None:
        """Counts a shard that is done."""
        self.photos += summary.photos
        self.entities += summary.entities
        self.errors += summary.errors
        self._done += 1

    @property
    def seconds(self) -> float:
        """The time since the run began."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Photos per second, those that could not be used included."""
        return (self.photos + self.errors) / max(self.seconds, 1e-9)

    def line(self) -> str:
        """For example "120 of 960 photos, 4.0 photos/s, 3 min 30 s left"."""
        done = self.photos + self.errors
        if self._total is None:
            share = self._done / max(self._shards, 1)
            text = f"{done:,} photos, {self._done:,} of {self._shards:,} shards"
        else:
            share = done / max(self._total, 1)
            text = f"{done:,} of {self._total:,} photos"
        if not done:
            return text
        return f"{text}, {self.rate:.1f} photos/s, {duration(self.seconds * (1 - share) / max(share, 1e-9))} left"


def duration(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> duration(59.6), duration(210), duration(90_000)
    ('1 min 0 s', '3 min 30 s', '1 d 1 h')
    """
    rest = max(0, round(seconds))
    if rest < 60:
        return f"{rest} s"
    for large, small, name, other in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if rest >= large:
            return f"{rest // large} {name} {rest % large // small} {other}"
    raise AssertionError(seconds)
