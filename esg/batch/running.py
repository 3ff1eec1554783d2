"""A run from its inputs to its last shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from .layouts import check_places
from .ledger import Ledger, Summary
from .places import Place
from .settings import Settings
from .shards import Shard, Source, photos_per_shard

Compute = Callable[[Sequence[Shard]], Iterable[Summary]]


class Run:
    """The shards of an output folder, and which of them are still to be done.

    Attributes:
        shards: all shards of this and earlier runs into the folder.
        waiting: those that are not done.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: Settings,
        out: str,
        *,
        workers: int = 1,
        photos_each: int | None = None,
        retry_errors: bool = False,
    ) -> None:
        """Makes the plan of a run, or reads it and adds the sources that are new.

        Args:
            sources: the pictures and archives.
            settings: what to do with them.
            out: output folder or URL.
            workers: the number of workers, for which there must be enough shards.
            photos_each: photos of a shard; None: see `photos_per_shard`.
            retry_errors: whether to recompute the shards in which some photos could not be used.

        Raises:
            InputError: the folder holds a run with other settings, or label PNGs of two photos would have one name.
            OutputError: the folder cannot be written.
        """
        ledger = Ledger(Place(out))
        if "png" in settings.formats:
            given = {source.photo for source in sources}
            earlier = [one for shard in ledger.plan() for one in shard.sources if one.photo not in given]
            everything = [*earlier, *sources]
            pictures = [one.name for one in everything if one.kind == "picture"]
            check_places(pictures, [one.name for one in everything if one.kind != "picture"], settings.layout)
        ledger.check_settings(settings)
        photos = sum(sum(one.rows) or 1 for one in sources)
        self.shards = ledger.extend(sources, settings, photos_each or photos_per_shard(photos, workers))
        if retry_errors:
            failed = ledger.failed()
            for shard in self.shards:
                if shard.name in failed:
                    ledger.forget(shard)
        done = ledger.done()
        self.waiting = [shard for shard in self.shards if shard.name not in done]
        self._ledger = ledger

    def work(self, compute: Compute) -> Iterator[Summary]:
        """Computes the waiting shards with `compute`, and yields their summaries as they are done."""
        if self.waiting:
            yield from compute(self.waiting)
            self._ledger.tidy()

    @property
    def has_errors(self) -> bool:
        """Whether photos of this or of an earlier run could not be used."""
        return bool(self._ledger.failed())
