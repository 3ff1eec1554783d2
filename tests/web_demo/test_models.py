"""Models are loaded when they are needed, once, and given up on request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from esg import DiffusionInpainting, EntitySegmenter, EsgError, Grounder
from web_demo.models import Models


class Fake(EntitySegmenter):
    """A model that remembers where it was put."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: list[str] = []

    def to(self, device: str) -> EntitySegmenter:
        self.places.append(device)
        return self


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was loaded: name and device."""
    calls: list[Any] = []

    def load(name: str, *, device: str, **options: Any) -> Fake:
        calls.append((name, device))
        if name == "broken":
            raise EsgError("It is broken.")
        return Fake(name)

    monkeypatch.setattr(EntitySegmenter, "from_pretrained", load)
    return calls


def test_a_model_is_loaded_once(loaded: list[Any]) -> None:
    models = Models("cpu")
    assert not models.has(EntitySegmenter, "one")
    model = models.segmenter("one")
    assert models.segmenter("one") is model
    assert models.has(EntitySegmenter, "one")
    assert not models.has(Grounder, "one")
    assert loaded == [("one", "cpu")]
    assert models.names == ["one"]


def test_the_machine_options_reach_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[type, dict[str, Any]] = {}
    for kind in (EntitySegmenter, Grounder, DiffusionInpainting):

        def load(name: str, kind: type = kind, **given: Any) -> Any:
            options[kind] = given
            return object.__new__(kind)

        monkeypatch.setattr(kind, "from_pretrained", load)
    models = Models("cuda:1", precision="bf16", attention="eager", compile=True)
    models.segmenter("one")
    models.grounder("two")
    models.diffusion("three", download=True)
    place = {"device": "cuda:1", "attention": "eager"}
    assert options[EntitySegmenter] == options[Grounder] == {**place, "precision": "bf16", "compile": True}
    assert options[DiffusionInpainting] == {**place, "download": True}  # it chooses its own precision


def test_another_one_of_its_kind_takes_its_place(loaded: list[Any]) -> None:
    models = Models("cuda:1")
    first: Any = models.segmenter("one")
    models.segmenter("two")
    assert first.places == ["cpu"]
    assert models.names == ["two"]
    models.segmenter("one")
    assert loaded == [("one", "cuda:1"), ("two", "cuda:1"), ("one", "cuda:1")]


def test_a_model_that_cannot_be_loaded_leaves_no_trace(loaded: list[Any]) -> None:
    models = Models("cpu")
    for _ in range(2):
        with pytest.raises(EsgError, match="broken"):
            models.segmenter("broken")
        assert models.names == []


def test_freeing_gives_all_of_them_up(loaded: list[Any]) -> None:
    models = Models("cpu")
    assert models.free() == []
    model: Any = models.segmenter("one")
    assert models.free() == ["one"]
    assert (model.places, models.names) == (["cpu"], [])
    assert models.segmenter("one") is not model


def test_two_visitors_at_once_load_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    calls, got = [], []

    def load(name: str, **options: Any) -> Fake:
        calls.append(name)
        begun.set()
        assert go.wait(30)
        return Fake(name)

    monkeypatch.setattr(EntitySegmenter, "from_pretrained", load)
    models = Models("cpu")
    visitors = [threading.Thread(target=lambda: got.append(models.segmenter("one"))) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    assert begun.wait(30)
    assert not models.has(EntitySegmenter, "one")  # which does not wait
    go.set()
    for visitor in visitors:
        visitor.join(30)
    assert calls == ["one"]
    assert got[0] is got[1]


def test_one_of_each_kind_of_the_real_classes(
    small_model: Path, tiny_gella: Path, tiny_diffusion: Callable[[int], Path]
) -> None:
    models, painter = Models("cpu"), tiny_diffusion(9)
    assert isinstance(models.segmenter(str(small_model)), EntitySegmenter)
    assert isinstance(models.grounder(str(tiny_gella)), Grounder)
    assert isinstance(models.diffusion(str(painter), download=False), DiffusionInpainting)
    assert models.free() == [str(small_model), str(tiny_gella), str(painter)]
    assert models.names == []


def test_a_grounder_is_loaded_while_others_are_used_and_stays(
    monkeypatch: pytest.MonkeyPatch, loaded: list[Any]
) -> None:
    began, go, calls, got = threading.Event(), threading.Event(), [], []

    def load(name: str, **options: Any) -> Any:
        calls.append(name)
        began.set()
        assert go.wait(60)
        return Grounder(SimpleNamespace(networks=()), name=name)  # type: ignore[arg-type]

    monkeypatch.setattr(Grounder, "from_pretrained", load)
    models = Models("cpu")
    visitors = [threading.Thread(target=lambda: got.append(models.grounder_if_free("one"))) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    assert began.wait(60)
    models.segmenter("another")  # nobody waits for it
    assert not models.has(Grounder, "one")
    go.set()
    for visitor in visitors:
        visitor.join(60)
    assert got == [models.grounder("one")] * 2
    assert models.grounder_if_free("another") is None  # somebody may be computing with the one that is there
    assert calls == ["one"]
