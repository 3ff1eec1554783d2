"""Work beside an event: what it reports comes in order, and nobody waits for it in vain."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import groupby

import pytest

from esg import InputError
from web_demo import working
from web_demo.working import News, Report, Worker


@pytest.fixture
def worker() -> Worker:
    return Worker()


def new_ones(news: Iterable[News]) -> Iterator[News]:
    """Without those that come again while nothing new does."""
    return (one for one, _ in groupby(news))


def test_news_come_in_order_and_then_the_result(worker: Worker) -> None:
    def work(report: Report) -> str:
        report(1, 2, "views")
        report.show("a word", None)
        report(3, 4, "steps")
        report(0, 0, "something else")
        return "done"

    job = worker.work(work, "Looking")
    assert list(new_ones(job)) == [
        {"text": "Looking", "part": None},
        {"text": "Looked at 1 of 2 views", "part": 0.5},
        ("a word", None),
        {"text": "Painting: step 3 of 4", "part": 0.75},
        {"text": "something else", "part": None},  # of one step nobody knows how far it is
    ]
    assert job.result == "done"


def test_nothing_is_done_before_somebody_listens(worker: Worker) -> None:
    begun = threading.Event()
    news = iter(worker.work(lambda report: begun.set(), "Looking"))
    assert next(news) == {"text": "Looking", "part": None}
    assert not begun.is_set()
    for _ in news:
        pass
    assert begun.is_set()


@pytest.mark.parametrize("error", [InputError("It is empty."), ValueError("a bug")])
def test_an_error_comes_out(worker: Worker, error: Exception) -> None:
    def work(report: Report) -> None:
        report(1, 2, "views")
        raise error

    news = new_ones(worker.work(work, "Looking"))
    next(news)
    assert next(news) == {"text": "Looked at 1 of 2 views", "part": 0.5}
    with pytest.raises(type(error)) as caught:
        next(news)
    assert caught.value is error
    job = worker.work(lambda report: "the next one", "Looking")
    assert len(list(new_ones(job))) == 1
    assert job.result == "the next one"


def test_while_nothing_new_comes_the_last_one_comes_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio can stop an event only between two answers, however long the work takes to the next report."""
    monkeypatch.setattr(working, "PULSE", 0.01)
    go = threading.Event()

    def work(report: Report) -> None:
        report(1, 2, "views")
        assert go.wait(30)

    news = iter(worker.work(work, "Looking"))
    seen = [next(news) for _ in range(2)]
    while seen[-2:] != [{"text": "Looked at 1 of 2 views", "part": 0.5}] * 2:
        seen.append(next(news))
    go.set()
    rest = list(news)
    assert all(one == seen[-1] for one in rest)


@pytest.mark.parametrize("tell", [lambda report: report(2, 3, "steps"), lambda report: report.show("a word")])
def test_whoever_stops_listening_ends_the_work_at_its_next_report(worker: Worker, tell: object) -> None:
    left, ended = threading.Event(), threading.Event()
    reached = []

    def work(report: Report) -> None:
        try:
            report(1, 3, "steps")
            assert left.wait(30)
            reached.append("the report")
            tell(report)  # type: ignore[operator]
            reached.append("beyond it")
        finally:
            ended.set()

    job = worker.work(work, "Painting")
    news = iter(job)
    while next(news) != {"text": "Painting: step 1 of 3", "part": 1 / 3}:
        pass
    news.close()  # type: ignore[attr-defined]  # which does not wait for the work
    assert not ended.is_set()
    left.set()
    assert ended.wait(30)
    assert reached == ["the report"]
    assert not hasattr(job, "result")


def test_one_piece_of_work_after_another(worker: Worker) -> None:
    """However many visitors there are, one thread computes."""
    go = threading.Event()
    threads: set[int] = set()
    running, most = 0, 0

    def work(report: Report) -> None:
        nonlocal running, most
        threads.add(threading.get_ident())
        running += 1
        most = max(most, running)
        assert go.wait(30)
        running -= 1

    visitors = [threading.Thread(target=lambda: list(worker.work(work, "Looking"))) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    go.set()
    for visitor in visitors:
        visitor.join(30)
    assert (len(threads), most) == (1, 1)
