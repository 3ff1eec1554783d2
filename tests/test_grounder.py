"""The grounder's way from a photo to a grounding, with random weights of a tiny model of the real classes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esg.entities import EntityMap
from esg.errors import InputError, WeightsError
from esg.gella.checkpoint import write_gella
from esg.gella.config import PRESETS
from esg.gella.model import Gella
from esg.grounder import Grounder


@pytest.fixture(scope="module")
def grounder(speaker: Any) -> Grounder:
    config, tokenizer = speaker
    torch.manual_seed(3)
    return Grounder(Gella(config), tokenizer, device="cpu")


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)


def stripes(count: int, height: int = 30, width: int = 50) -> EntityMap:
    return EntityMap.from_labels(np.tile(np.arange(width) * count // width + 1, (height, 1)))


def test_every_phrase_gets_entities_of_the_picture_with_scores(grounder: Grounder, photo: np.ndarray) -> None:
    entities = stripes(4)
    before = entities.labels.copy()
    found = grounder(photo, entities, "A red disc and two bars.", threshold=0.0)
    assert found.caption == "A red disc and two bars."
    for phrase in found.phrases:
        assert sorted(phrase.entity_ids) == [1, 2, 3, 4]  # at threshold 0 everything is meant
        assert list(phrase.scores) == sorted(phrase.scores, reverse=True)
        assert found.caption[slice(*phrase.span)] == phrase.text
    assert np.array_equal(entities.labels, before)
    nothing = grounder(photo, entities, "A red disc and two bars.", threshold=1.0)
    assert all(not phrase.entity_ids for phrase in nothing.phrases)


def test_a_list_of_phrases_is_grounded_as_it_is(grounder: Grounder, photo: np.ndarray) -> None:
    found = grounder(photo, stripes(3), phrases=["red disc", "犬", "two <SEG> bars"])
    assert [phrase.text for phrase in found.phrases] == ["red disc", "犬", "two <SEG> bars"]


def test_more_entities_than_queries_are_read_in_groups(
    grounder: Grounder, photo: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    queries = grounder.model.config.decoder.queries
    with caplog.at_level(logging.INFO):
        found = grounder(photo, stripes(3 * queries + 1), phrases=["disc"], threshold=0.0)
    assert len(found.phrases[0].entity_ids) == 3 * queries + 1
    assert f"of {3 * queries + 1} entities" in caplog.text


def test_the_model_writes_its_own_caption_if_there_is_none(grounder: Grounder, photo: np.ndarray) -> None:
    pieces = list(grounder.caption(photo, most=12))
    assert 0 < len(pieces) <= 12
    whole = "".join(pieces)
    assert grounder(photo, stripes(2)).caption.startswith(whole.strip()[:5])
    assert "".join(grounder.caption(photo, most=12)) == whole
    assert list(grounder.caption(photo, stop=lambda: True)) == []


def test_between_the_pieces_of_a_caption_the_callers_code_is_as_always(grounder: Grounder, photo: np.ndarray) -> None:
    pieces = grounder.caption(photo, most=3)
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    assert torch.ones(1, requires_grad=True).sum().requires_grad


def test_spans_of_nouns_lie_in_the_caption(grounder: Grounder, photo: np.ndarray) -> None:
    caption = "A brown cow looks over a yellow barrier."
    spans = grounder.nouns(photo, caption)
    assert spans == sorted(set(spans))
    assert all(0 <= start < end <= len(caption) for start, end in spans)


def test_an_empty_map_gives_phrases_that_mean_nothing(grounder: Grounder, photo: np.ndarray) -> None:
    found = grounder(photo, EntityMap.from_labels(np.zeros((30, 50), int)), phrases=["disc"])
    assert found.phrases[0].entity_ids == ()


def test_entities_of_other_pictures_and_wrong_calls_are_refused(grounder: Grounder, photo: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"50x31 pixels.*50x30"):
        grounder(photo, stripes(2, height=31), "a disc")
    with pytest.raises(InputError, match="not both"):
        grounder(photo, stripes(2), "a disc", phrases=["disc"])
    with pytest.raises(InputError, match="from 0 to 1"):
        grounder(photo, stripes(2), "a disc", threshold=1.5)
    with pytest.raises(InputError, match="caption is empty"):
        grounder(photo, stripes(2), "  ")
    with pytest.raises(InputError, match=r"too long.*1500"):
        grounder(photo, stripes(2), "a disc and " * 400)


def test_weights_are_loaded_from_a_file(speaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, tokenizer = speaker
    monkeypatch.setitem(PRESETS, "tiny", config)
    path = tmp_path / "tiny.safetensors"
    write_gella(path, Gella(config).state_dict(), "tiny", tokenizer, steps=0)
    assert Grounder.from_pretrained(path, device="cpu").model.config == config
    with pytest.raises(WeightsError):
        Grounder.from_pretrained("no-such-model")
