"""The progress of a run: photos done, their rate, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from .ledger import Summary
from .shards import Shard


class Pace:
    """Counts the shards of a run as they are done.

    The rate is measured from the moment at which the first shard is done, because workers take a while to start
    and to load their models.

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
        self._clock = clock
        self._first = self._last = 0.0  # times at which the first and the latest shard were done
        self._measured = 0.0  # photos in the time between

    def add(self, summary: Summary) -> None:
        """Counts a shard that is done."""
        photos = summary.photos + summary.errors
        self._last = self._clock()
        if not self._done:
            self._first = self._last
        else:
            # Workers start together and finish their first shards together, most of which were computed before.
            since = self._last - self._first
            self._measured += photos * (since / summary.seconds if since < summary.seconds else 1)
        self.photos += summary.photos
        self.entities += summary.entities
        self.errors += summary.errors
        self._done += 1

    @property
    def rate(self) -> float | None:
        """Photos per second, those that could not be used included; None until a second shard is done."""
        since = self._last - self._first
        return self._measured / since if self._measured and since else None

    def line(self) -> str:
        """For example "120 of 960 photos, 4.0 photos/s, 3 min 30 s left"."""
        done = self.photos + self.errors
        if self._total is None:
            text = f"{done:,} photos, {self._done:,} of {self._shards:,} shards"
            left = done / max(self._done, 1) * (self._shards - self._done)
        else:
            text = f"{done:,} of {self._total:,} photos"
            left = self._total - done
        if self.rate is None:
            return text
        return f"{text}, {speed(self.rate)}, {duration(left / self.rate)} left"


def speed(rate: float) -> str:
    """A rate in photos per second; a slow one as the time that a photo takes.

    >>> speed(4), speed(0.4), speed(1 / 12), speed(1 / 90)
    ('4.0 photos/s', '2.5 s per photo', '12 s per photo', '1 min 30 s per photo')
    """
    if rate >= 1:
        return f"{rate:,.1f} photos/s"
    seconds = 1 / rate
    return f"{seconds:.1f} s per photo" if seconds < 9.95 else f"{duration(seconds)} per photo"


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
