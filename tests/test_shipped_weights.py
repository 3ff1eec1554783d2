from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esg import EntitySegmenter, Grounder, read_image
from esg.evaluation.narratives import evaluate_narratives
from esg.weights import ASSETS, locate

PHOTOS = sorted((Path(__file__).parents[1] / "web_demo" / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def segmenter() -> EntitySegmenter:
    return EntitySegmenter.from_pretrained("cropformer-nano", device="cpu")


def test_they_are_small_and_lie_in_the_package_with_a_model_card(segmenter: EntitySegmenter) -> None:
    path = locate("cropformer-nano")
    assert path.parent == ASSETS
    assert path.stat().st_size <= 12_000_000
    assert sum(parameter.numel() for parameter in segmenter.model.parameters()) <= 6_000_000
    assert segmenter.model.association is not None
    assert "BSDS500" in (ASSETS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_they_find_entities_in_the_example_photos(segmenter: EntitySegmenter, photo: Path) -> None:
    entities = segmenter(photo)
    assert entities.labels.shape == read_image(photo).shape[:2]
    assert len(entities) >= 3
    assert (entities.labels > 0).mean() > 0.3
    assert np.isfinite(entities.scores).all()


def test_the_same_photo_gives_the_same_entities(segmenter: EntitySegmenter) -> None:
    assert segmenter(PHOTOS[0], crops=0) == segmenter(PHOTOS[0], crops=0)


# ------------------------------------------------------------------------------------------------------------ GELLA


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    return Grounder.from_pretrained("gella-nano", device="cpu")


def test_gella_nano_is_small_and_has_a_model_card() -> None:
    path = locate("gella-nano")
    assert path.parent == ASSETS
    assert path.stat().st_size <= 14 * 2**20
    assert "BSDS500" in (ASSETS / "gella-nano.md").read_text(encoding="utf-8")


def test_it_finds_and_grounds_the_nouns_of_scenes_it_has_never_seen(grounder: Grounder) -> None:
    figures = evaluate_narratives(grounder, 12)
    assert figures["noun_recall"] >= 0.9  # 0.99 over 500 scenes
    assert figures["AR"] >= 0.6  # 0.8 over 500 scenes
    assert figures["cIoU"] >= 0.5


def test_it_describes_a_photo_and_grounds_what_it_says(grounder: Grounder, segmenter: EntitySegmenter) -> None:
    photo = PHOTOS[1]
    found = grounder(photo, segmenter(photo))
    assert found.phrases
    assert any(phrase.entity_ids for phrase in found.phrases)
    assert found == grounder(photo, segmenter(photo))  # the same words every time
