"""Measures a data set photo by photo, in worker processes, with a journal from which an interrupted run continues."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos
from ..data.problems import Problems
from ..support.errors import EsgError, InputError, OutOfMemory
from ..support.progress import ItemProgress
from .journal import Journal
from .matching import FoundMask
from .predictions import UNKNOWN_PHOTOS, FilePredictions, Predictions

NOT_USED = "photos that cannot be used"
WITHOUT = "photos without predictions, which count as photos in which nothing was found"

Record = dict[str, Any]
"""The results for a photo: its `name`, its `key` in the predictions, `problems`, and `result`, which is None if the
photo cannot be used. It can be written as JSON."""


class Measure(ABC):
    """Measures one photo. It is sent to worker processes, so it holds options only."""

    @abstractmethod
    def __call__(
        self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems: Problems
    ) -> Mapping[str, Any] | None:
        """The results for a photo, which JSON can hold; None if it does not count."""


def measure_all(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    measure: Measure,
    *,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> list[Record]:
    """The records of all photos, in their order.

    Args:
        photos: the truth.
        predictions: the masks that were found.
        measure: measures a photo.
        workers: number of processes; a model still runs in this one.
        journal: keeps the records, and has those of an earlier run.
        progress: called after each photo.

    Raises:
        InputError: no photo can be used, or no prediction belongs to a photo; the message has the reasons.
        OutOfMemory: a worker process was killed.
    """
    journal = Journal() if journal is None else journal
    todo = [number for number in range(len(photos)) if number not in journal.done]
    for number, record in _each(photos, predictions, measure, todo, workers):
        journal.add(number, record)
        if progress is not None:
            progress(len(journal.done), len(photos))
    records = [journal.done[number] for number in range(len(photos)) if number in journal.done]
    _refuse_if_useless(records, photos, predictions)
    return records


def problems_of(records: Sequence[Record], photos: AnnotatedPhotos, predictions: Predictions) -> Problems:
    """All that was left out: when the data was opened, and in each photo."""
    problems = Problems()
    problems.update(photos.problems)
    problems.update(predictions.problems)
    for record in records:
        problems.update(Problems(record["problems"]))
    if isinstance(predictions, FilePredictions):
        claimed = Counter(record["key"] for record in records if record["key"] is not None)
        for key in predictions.unclaimed(claimed):
            problems.add(UNKNOWN_PHOTOS, key)
        for key, times in claimed.items():
            if times > 1:
                problems.add("predictions that belong to several photos of the same name", key)
    return problems


def refuse_without_truth(annotated: bool, what: str, photos: AnnotatedPhotos) -> None:
    """Raises InputError if no photo of a data set has what is measured, such as "entities"."""
    if not annotated:
        raise InputError(f"No photo in {photos.name} has annotated {what}, so nothing can be measured.")


def _refuse_if_useless(records: Sequence[Record], photos: AnnotatedPhotos, predictions: Predictions) -> None:
    if isinstance(predictions, FilePredictions) and all(record["key"] is None for record in records):
        name = records[0]["name"] if records else "NAME"
        raise InputError(
            f"No prediction in {predictions.name} belongs to a photo in {photos.name}, such as {name}; the ids or file "
            "names must be the same."
        )
    if all(record["result"] is None for record in records):
        reasons = "; ".join(problems_of(records, photos, predictions))
        raise InputError(f"No photo in {photos.name} can be measured: {reasons}.")
    if isinstance(predictions, FilePredictions) and not any(record["found"] for record in records):
        lost = Problems()
        for record in records:
            lost.update(Problems({what: names for what, names in record["problems"].items() if what != WITHOUT}))
        if lost:
            raise InputError(f"No prediction in {predictions.name} can be used: {'; '.join(lost)}.")


def _each(
    photos: AnnotatedPhotos, predictions: Predictions, measure: Measure, todo: Sequence[int], workers: int
) -> Iterator[tuple[int, Record]]:
    if workers < 2 or len(todo) < 2:
        for number in todo:
            yield number, _record(photos, predictions, measure, number)
        return
    # Workers read what is portable; the rest is read here, and only measured there.
    carried = (photos, predictions) if predictions.portable else None
    waiting: deque[tuple[int, Future[Record]]] = deque()
    # A forked process could wait for ever for a lock that one of torch's threads held.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (carried, measure))
    try:
        for number in todo:
            if carried is not None:
                waiting.append((number, pool.submit(_read_and_measured, number)))
            else:
                waiting.append((number, pool.submit(_only_measured, _Read(photos, predictions, number))))
            while len(waiting) >= 4 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for number, future in waiting:
            yield number, future.result()
    except BrokenProcessPool:
        raise OutOfMemory(
            "A worker process was killed, probably because the memory is full; use fewer --workers."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Read:
    """A photo's annotations and what was found in it, or why they cannot be read."""

    def __init__(self, photos: AnnotatedPhotos, predictions: Predictions, number: int) -> None:
        called, self.name = photos.called(number)
        self.key = predictions.keys.of(called, self.name) if isinstance(predictions, FilePredictions) else None
        self.problems = Problems()
        self.photo: AnnotatedPhoto | None = None
        self.found: list[FoundMask] = []
        try:
            photo = photos.photo(number)
            self.problems.update(photo.problems)
            found = predictions.of(photo, self.problems)
        except EsgError as error:
            self.problems.add(NOT_USED, f"{self.name}: {str(error).rstrip('.')}")
            return
        if found is None:
            self.problems.add(WITHOUT, self.name)
        self.photo, self.found = photo, found or []

    def measured(self, measure: Measure) -> Record:
        result = None if self.photo is None else measure(self.photo, self.found, self.problems)
        return {
            "name": self.name,
            "key": self.key,
            "found": len(self.found),
            "problems": self.problems.found,
            "result": None if result is None else dict(result),
        }


def _record(photos: AnnotatedPhotos, predictions: Predictions, measure: Measure, number: int) -> Record:
    return _Read(photos, predictions, number).measured(measure)


_started_with: list[Any] = []  # in a worker process


def _start(carried: tuple[AnnotatedPhotos, Predictions] | None, measure: Measure) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the main process, which stops this one
    _started_with[:] = [carried, measure]


def _read_and_measured(number: int) -> Record:
    (photos, predictions), measure = _started_with
    return _record(photos, predictions, measure, number)


def _only_measured(read: _Read) -> Record:
    return read.measured(_started_with[1])
