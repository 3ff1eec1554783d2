"""What a model calls the entities, and which of them it cannot name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from esg import EntityMap, EsgError
from web_demo.message import Chosen
from web_demo.visit import Visit

Events = dict[str, Callable[..., Any]]


class Namer:
    """A grounder that calls the first entity a dog, and remembers among which entities it looked."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(names=("dog", "cat"))
        self.entities: list[EntityMap] = []

    def names(self, pixels: Any, entities: EntityMap, *, max_pixels: int) -> dict[int, tuple[str, float]]:
        self.entities.append(entities)
        return {1: ("dog", 0.9)}


@pytest.fixture
def namer(models: SimpleNamespace) -> Namer:
    namer = Namer()
    models.grounder_if_free = lambda name: namer
    return namer


def seen(visit: Visit, shown: int = 2) -> Chosen:
    return Chosen((), shown, visit.map_number, 1)


def test_entities_that_are_shown_have_their_names(
    events: Events, namer: Namer, known: Visit, quarters: EntityMap
) -> None:
    about = {"map_number": known.map_number, "among": 2, "model": "gella-nano"}
    value = events["name"](known, "gella-nano", seen(known))
    assert value == {**about, "names": {"1": ["dog", 0.9]}}
    assert namer.entities == [quarters.keep([1, 2])]
    assert events["name"](known, "gella-nano", seen(known)) == value  # which is remembered
    assert len(namer.entities) == 1
    assert events["name"](known, "gella-nano", seen(known, shown=3))["among"] == 3
    assert len(namer.entities) == 2
    known.know(quarters)
    assert known.names is None


def test_without_a_list_of_names_there_are_none(events: Events, namer: Namer, known: Visit) -> None:
    namer.model.names = ()
    assert events["name"](known, "a-model", seen(known))["names"] is None
    assert namer.entities == []


def test_a_model_that_another_visitor_uses_stays(events: Events, models: SimpleNamespace, known: Visit) -> None:
    models.grounder_if_free = lambda name: None
    assert events["name"](known, "a-model", seen(known))["names"] is None


def test_public_models_are_not_loaded_for_that(events: Events, models: SimpleNamespace, known: Visit) -> None:
    models.grounder_if_free = lambda name: pytest.fail(f"{name} was loaded")
    assert events["name"](known, "zero-shot", seen(known))["names"] is None


def test_an_error_is_not_shown(events: Events, models: SimpleNamespace, known: Visit) -> None:
    def broken(name: str) -> Any:
        raise EsgError("It is broken.")

    models.grounder_if_free = broken
    assert events["name"](known, "a-model", seen(known))["names"] is None


def test_names_of_entities_that_are_replaced_meanwhile_are_not_kept(
    events: Events, namer: Namer, known: Visit, quarters: EntityMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = known.map_number
    monkeypatch.setattr(namer, "names", lambda *_, **__: known.know(quarters) or {1: ("dog", 0.9)})
    assert events["name"](known, "a-model", seen(known))["map_number"] == before
    assert known.names is None
