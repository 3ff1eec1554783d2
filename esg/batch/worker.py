"""A worker: loads the models once, and computes and writes one shard after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..support.errors import EsgError, InputError, OutOfMemory, OutputError, WeightsError
from ..support.memory import is_out_of_memory
from ..support.process import keep_memory
from .layouts import eight_bit_labels, label_place
from .ledger import Attempt, Ledger, Summary
from .places import Place
from .reading import AHEAD, Entry, entries, pixels_of, read_ahead
from .settings import Settings
from .shards import Shard
from .tables import entity_row, error_row, write_entities, write_errors

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..entities.grounding import Grounding

_STOPS = (OutputError, WeightsError)  # errors that the next photo would have, too
Find = Callable[["np.ndarray"], "tuple[EntityMap, Grounding | None]"]


class Worker:
    """Computes shards.

    Args:
        settings: what to do with each photo.
        out: output folder or URL.
        find: function that returns the entities of a photo, and its grounding if there are words; None: the models of
            the settings, which are loaded with the first shard.
    """

    def __init__(self, settings: Settings, out: str, find: Find | None = None) -> None:
        self.settings = settings
        self._place = Place(out)
        self._ledger = Ledger(self._place)
        self._find = find

    def __call__(self, shard: Shard) -> Summary:
        """Computes a shard and writes its files, unless that is done already.

        Returns:
            Its summary. Problems that stop the run are in it, rather than raised, because Ray would repeat the shard.
        """
        try:
            return self._ledger.summary(shard) or self._work(shard)
        except EsgError as error:
            return Summary(shard.number, stopped=str(error))

    def _work(self, shard: Shard) -> Summary:
        if self._find is None:
            self._find = load(self.settings)
        began = time.monotonic()
        attempt = self._ledger.begin(shard)
        errors: list[dict[str, Any]] = []
        counted: list[int] = []  # entities of each photo
        rows = self._rows(shard, attempt, errors, counted)
        if "parquet" in self.settings.formats:
            self._place.write(f"entities/{shard.name}.parquet", lambda path: write_entities(path, rows))
        else:
            for _ in rows:
                pass
        if errors:
            self._place.write(f"errors/{shard.name}.parquet", lambda path: write_errors(path, errors))
        else:
            self._place.remove(f"errors/{shard.name}.parquet")  # of a run before --retry-errors
        summary = Summary(shard.number, len(counted), sum(counted), len(errors), time.monotonic() - began)
        self._ledger.finish(shard, summary)
        return summary

    def _rows(
        self, shard: Shard, attempt: Attempt, errors: list[dict[str, Any]], counted: list[int]
    ) -> Iterator[dict[str, Any]]:
        """The rows of the shard's photos; writes their label PNGs, and adds problems to `errors`."""
        ahead = 0 if attempt.is_careful else AHEAD
        taken: set[str] = set()  # names of label PNGs

        def load(entry: Entry) -> np.ndarray:
            return pixels_of(entry, self.settings.max_pixels)

        for entry, pixels in read_ahead(entries(shard), load, ahead):
            if attempt.is_fatal(entry.photo):
                errors.append(error_row(entry.photo, "A worker died on this photo, twice; it is left out."))
                continue
            if attempt.is_careful:
                self._ledger.note(shard, attempt, entry.photo)
            try:
                row, number = self._result(entry, pixels(), taken)
            except _STOPS:
                raise
            except Exception as error:  # one photo must not stop millions
                errors.append(error_row(entry.photo, _problem(error)))
                continue
            counted.append(number)
            yield row

    def _result(self, entry: Entry, pixels: np.ndarray, taken: set[str]) -> tuple[dict[str, Any], int]:
        """The row of a photo and the number of its entities; writes its label PNG."""
        assert self._find is not None
        entities, grounding = self._find(pixels)
        if "png" in self.settings.formats:
            from ..pictures.reading import write_image

            labels = eight_bit_labels(entities, self.settings.order)
            place = label_place(entry.name, self.settings.layout)
            if place in taken:
                raise InputError(f"Another photo of this archive has the label PNG {place}; use --layout flat.")
            taken.add(place)
            self._place.write(place, lambda path: write_image(path, labels))
        return entity_row(entry, entities, grounding, self.settings), len(entities)


def load(settings: Settings) -> Find:
    """The function that finds what the settings ask for, with its models loaded."""
    import torch

    from ..grounder import Grounder
    from ..segmenter import EntitySegmenter

    keep_memory()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    machine: dict[str, Any] = {
        name: getattr(settings, name) for name in ("device", "precision", "attention", "compile")
    }
    segmenter = EntitySegmenter.from_pretrained(settings.model, **machine)
    grounder = Grounder.from_pretrained(settings.grounder, **machine) if settings.grounds else None
    if grounder is not None and settings.phrases:
        grounder.check_words(settings.phrases)
    names = ("crops", "size", "max_size", "min_score", "min_area", "max_pixels")
    options = {name: getattr(settings, name) for name in names}

    def find(pixels: np.ndarray) -> tuple[EntityMap, Grounding | None]:
        entities = segmenter(pixels, **options)
        if grounder is None:
            return entities, None
        phrases = settings.phrases or None
        try:
            return entities, grounder(pixels, entities, phrases=phrases, max_pixels=settings.max_pixels)
        except OutOfMemory:
            raise
        except InputError:  # the model wrote nothing for this photo; its entities are still good
            return entities, None

    return find


def check_models(settings: Settings) -> None:
    """Checks, before workers start, that the models of the settings are here.

    Raises:
        WeightsError: a model is missing or does not do this task.
    """
    from ..grounder import Grounder
    from ..weights.finding import locate

    locate(settings.model, task="entity")
    if settings.grounds and not Grounder.public_models(settings.grounder):
        locate(settings.grounder, task="grounding")


def _problem(error: Exception) -> str:
    """The problem of a photo, in one line."""
    if is_out_of_memory(error):
        return "There is not enough memory for this photo; try --crops 0, a smaller --size, or fewer workers."
    if isinstance(error, EsgError):
        return str(error)
    return " ".join(f"Unexpected {type(error).__name__}: {error}".split())
