"""Work that takes a while: it runs beside the page's event, which passes on its progress and can stop it.

Gradio's own progress bar is not used: its messages and the result travel separately, and on a busy machine a late
message covered the finished picture. Here, one generator yields both, in order.

One thread does all work of a page, one piece after another. Models would not gain from more threads, and every thread
that computes keeps some memory for good.
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


PULSE = 0.2  # seconds after which a waiting event repeats its last news


class _Stopped(Exception):
    """Raised inside the work, at its next report, when nobody waits for its result any more."""


class Report:
    """Reports progress and preliminary results of work. Both methods raise when nobody waits for the result any more,
    which ends the work."""

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        self.left = threading.Event()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Reports progress as the core does: `done` of `total` views or steps; if the total is 1, no share is shown."""
        self._tell({"text": SENTENCES.get(what, what).format(done, total), "part": done / total if total > 1 else None})

    def show(self, *outputs: Any) -> None:
        """Shows preliminary outputs of the event."""
        self._tell(outputs)

    def _tell(self, news: News) -> None:
        if self.left.is_set():
            raise _Stopped
        self.news.put(news)


class Work(Generic[Result]):
    """Runs `function(report)` in a worker's thread; iterate over it to let it run, then read `result`.

    Iteration yields values of the channel `busy`, dicts of "text" and "part" (0 to 1, or None), at the start and at
    every report, and tuples of preliminary outputs. While there is nothing new, it repeats the last one. It raises what
    the function raises. If the iteration is closed early, as Gradio does with a cancelled event, the function's next
    report ends the function.
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
                with suppress(queue.Empty):  # repeat the last news: Gradio can cancel an event only when it yields
                    news = report.news.get(timeout=PULSE)
                if news is not None:
                    yield news
        finally:
            report.left.set()
            job.cancel()  # if it has not begun
        self.result = job.result()


class Worker:
    """The thread that does a page's work. The program does not wait for it at its end."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="esg-work", daemon=True).start()

    def submit(self, function: Callable[..., Result], *given: Any) -> Future[Result]:
        """Runs a function after all work that was submitted before."""
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
            del job, function  # so that their memory is free while the worker waits
