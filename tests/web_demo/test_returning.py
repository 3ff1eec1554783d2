"""Visits that outlive a reload, and those that do not outlive an hour."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from web_demo import returning
from web_demo.returning import AWAY, Visits
from web_demo.visit import Visit


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be changed."""
    now = [0.0]
    monkeypatch.setattr(returning, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def with_photo(pixels: np.ndarray, name: str = "photo.png") -> Visit:
    visit = Visit()
    visit.begin(name, pixels.copy())
    return visit


def test_a_reload_brings_the_visit_back(pixels: np.ndarray, now: list[float]) -> None:
    visits, visit = Visits(), with_photo(pixels)
    key, here = visits.enter("first", None, visit)
    assert here is visit
    visits.leave("first")
    now[0] = 3599
    assert visits.enter("second", key, Visit()) == (key, visit)
    visits.leave("first")  # which came late
    now[0] = 9999
    assert visits.enter("third", key, Visit())[1] is visit
    assert visit.photo is not None


def test_after_an_hour_nothing_is_left(pixels: np.ndarray, now: list[float]) -> None:
    visits, visit, fresh = Visits(), with_photo(pixels), Visit()
    key, _ = visits.enter("first", None, visit)
    visits.leave("first")
    now[0] = 3600
    other, found = visits.enter("second", key, fresh)
    assert found is fresh
    assert other != key
    assert visit.photo is None


def test_only_some_of_those_who_left_are_remembered(pixels: np.ndarray, now: list[float]) -> None:
    visits = Visits()
    left = [with_photo(pixels) for _ in range(AWAY + 2)]
    for number, visit in enumerate(left):
        visits.enter(str(number), None, visit)
        visits.leave(str(number))
    assert [visit.photo is None for visit in left] == [True] * 2 + [False] * AWAY


@pytest.mark.parametrize("key", [None, "", "guess", 5, ["a"], {"a": 1}])
def test_a_key_that_was_never_given_opens_nothing(pixels: np.ndarray, key: object) -> None:
    visits, fresh = Visits(), Visit()
    visits.enter("first", None, with_photo(pixels))
    assert visits.enter("second", key, fresh)[1] is fresh  # type: ignore[arg-type]
