"""The names of entities in a real browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from esg import EntityMap
from esg.models.gella.inference import GellaInference

expect = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright").expect


@pytest.fixture
def surely(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """What the model is sure about, by id; a test fills it."""
    sure: dict[int, str] = {}

    def recognise(model: Any, sight: Any, entities: EntityMap) -> Sequence[tuple[str, float]]:
        return [(sure.get(number + 1, "cat"), 0.9 if number + 1 in sure else 0.2) for number in range(len(entities))]

    monkeypatch.setattr(GellaInference, "names", ("dog", "cat"))
    monkeypatch.setattr(GellaInference, "recognise", recognise)
    return sure


def test_entities_are_named_by_themselves_and_the_others_are_counted(
    visitor: Any, files: Any, surely: dict[int, str]
) -> None:
    surely |= {1: "dog", 3: "cat"}
    visitor.bring(files)  # and nothing else is done
    names = visitor.find(".esg tbody .esg-name")
    expect(names).to_have_text(["dog", "no name", "cat"])
    expect(visitor.find(".esg-naming")).to_have_text("tiny-gella could not name 1 of these 3 entities.")
    names.nth(2).hover()
    expect(visitor.find(".esg-status")).to_contain_text("Entity 3, cat: score 0.40")
    names.nth(2).click()
    assert visitor.selected == [3]
    names.nth(0).click(modifiers=["Shift"])
    assert visitor.selected == [1, 3]

    visitor.slide(".esg-score", 0.65)  # of one entity, which has a name
    expect(visitor.find(".esg-naming")).to_be_hidden()


def test_where_nothing_has_a_name_that_is_said(visitor: Any, files: Any, surely: dict[int, str]) -> None:
    visitor.bring(files)
    expect(visitor.find(".esg-naming")).to_have_text("tiny-gella could not name any of these 3 entities.")
    visitor.slide(".esg-score", 0.65)
    expect(visitor.find(".esg-naming")).to_have_text("tiny-gella could not name this entity.")


def test_a_model_without_a_list_of_names_leaves_the_table_as_it_was(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    visitor.tab.wait_for_function("esg.state.names && !esg.state.naming")
    expect(visitor.find(".esg thead .esg-name")).to_be_hidden()
    expect(visitor.find(".esg-naming")).to_be_hidden()
