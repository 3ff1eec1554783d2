"""Work that takes a while: it runs beside the page's event, which passes on how far it is and can be stopped.

Gradio's own progress bar is not used: its messages and a result travel separately, and on a busy machine a late one
stood over the finished picture. Here both come out of one generator, in order.

All work of a page is done by one thread, one piece after another. Models would gain nothing from more, and every thread
that computes keeps some memory to itself for good.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

from esg import Stage

Result = TypeVar("Result")
News = dict[str, Any] | tuple[Any, ...]

SENTENCES: dict[str, str] = {
    Stage.VIEWS: "Looked at {} of {} views",
    Stage.FUSION: "Putting the views together: {} of {}",
    Stage.CAPTIONS: "Looking for better words: {} of {}",
    Stage.STEPS: "Painting: step {} of {}",
    Stage.EDGES: "Following the edges: {} of {}",
}


PULSE = 0.2  # seconds in which a waiting event gives a sign of life


class _Stopped(Exception):
    """Raised inside the work, at its next report, when nobody waits for it any more."""


class Report:
    """How work tells what comes of it. Both raise when nobody waits for it any more, which ends the work."""

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        self.left = threading.Event()

    def __call__(self, done: int, total: int, what: str) -> None:
        """How far it is, as the core reports it: so much of so many views, steps …; of a single one nobody knows."""
        self._tell({"text": SENTENCES.get(what, what).format(done, total), "part": done / total if total > 1 else None})

    def show(self, *outputs: Any) -> None:
        """Outputs of the event before its end."""
        self._tell(outputs)

    def _tell(self, news: News) -> None:
        if self.left.is_set():
            raise _Stopped
        self.news.put(news)


class Work(Generic[Result]):
    """Runs `function(report)` in a worker's thread; iterate over it to let it run, and then read `result`.

    Iteration yields what the `busy` channel takes, a dict of "text" and "part" (0..1, or None), once at the start and
    then at every report, and the tuples that are shown; while nothing new comes, the last one again. What the function
    raises comes out of the iteration. When the iteration is closed before its end, as Gradio does with a cancelled
    event, the function's next report ends it.
    """

    def __init__(self, worker: Worker, function: Callable[[Report], Result], begin: str) -> None:
        self._worker = worker
        self._function = function
        self._begin = begin
        self.result: Result

    def __iter__(self) -> Iterator[News]:
        begin = {"text": self._begin, "part": None}
        yield begin
        report, news = Report(), cast("News | None", begin)

        def run() -> Result:
            try:
                return self._function(report)
            finally:
                report.news.put(None)

        job = self._worker.submit(run)
        try:
            while news is not None:
                with suppress(queue.Empty):  # then the last one again: Gradio cancels an event only when it answers
                    news = report.news.get(timeout=PULSE)
                if news is not None:
                    yield news
        finally:
            report.left.set()
            job.cancel()  # if it has not begun
        self.result = job.result()


class Worker:
    """The thread that does a page's work. Nobody waits for it when the program ends."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="esg-work", daemon=True).start()

    def submit(self, function: Callable[..., Result], *given: Any) -> Future[Result]:
        """Has a function done after all that came before it."""
        job: Future[Result] = Future()
        self._jobs.put((job, partial(function, *given)))
        return job

    def work(self, function: Callable[[Report], Result], begin: str) -> Work[Result]:
        """See `Work`."""
        return Work(self, function, begin)

    def _run(self) -> None:
        while True:
            job, function = self._jobs.get()
            if not job.set_running_or_notify_cancel():
                continue
            try:
                job.set_result(function())
            except BaseException as error:
                job.set_exception(error)
            del job, function  # what they hold is not kept until the next one comes
