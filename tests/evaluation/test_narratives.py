"""The evaluation of a model that knows everything, and of one that knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from esg.data.labelled import LabelledPhotos
from esg.data.narrated import NarratedPhoto, tell_scene
from esg.data.opening import open_photos
from esg.data.scenes.synth import HELD_OUT
from esg.entities.entity_map import EntityMap
from esg.evaluation.narratives import (
    SIDES,
    evaluate_claims,
    evaluate_expressions,
    evaluate_narratives,
    evaluate_reconstruction,
)
from esg.grounder import Grounder
from esg.models.gella.inference import Reconstructed

Span = tuple[int, int]


class Oracle:
    """A `GroundingModel` that has read the stories of the first held-out scenes.

    Args:
        truth: a number from 0 to 1 that a true pair of noun and entity gets as its score; a false one gets the rest.
        deaf: whether it hears every second noun only.
        words: what it says of any picture.
    """

    networks = ()

    device = torch.device("cpu")
    drafts = 1
    names = ()

    def __init__(self, truth: float = 1.0, deaf: bool = False, words: str = "") -> None:
        self.truth, self.deaf, self.words = truth, deaf, words
        self.stories: dict[str, tuple[NarratedPhoto, Any]] = {}
        for number in range(4):
            rng = np.random.default_rng((HELD_OUT, number))
            told = tell_scene(HELD_OUT + number, rng, SIDES, refers=(False, True))
            self.stories |= {narrative.caption: (told, narrative) for narrative in told.narratives}

    def see(self, pixels: np.ndarray) -> None:
        pass

    def describe(self, sight: None, writing: Any, stop: Callable[[], bool] | None = None) -> Generator[str, None, None]:
        yield self.words

    def captions(self, sight: None, entities: Any, writings: Any, watch: Callable[[int], None]) -> list[str]:
        return [self.words for _ in writings]

    def nouns(self, sight: None, caption: str) -> list[Span]:
        if caption == self.words:
            return [(0, len(caption))]
        spans = [mention.span for mention in self.stories[caption][1].mentions]
        return spans[::2] if self.deaf else spans

    def scores(self, sight: None, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        scores = np.full((len(spans), len(entities)), 1 - self.truth, np.float32)
        if caption == self.words:
            scores[:, 0] = self.truth  # the first entity is the largest
            return scores
        told, narrative = self.stories[caption]
        by_span = {mention.span: mention for mention in narrative.mentions}
        for row, span in enumerate(spans):
            inside = np.isin(told.labels, by_span[span].entity_ids)
            meant = {int(number) for number in np.unique(entities.labels[inside]) if number}
            scores[row, [number - 1 for number in meant]] = self.truth
        return scores

    def to(self, device: torch.device) -> None:
        pass


def test_a_perfect_model_gets_full_marks() -> None:
    seen: list[tuple[int, int]] = []
    figures = evaluate_narratives(Grounder(Oracle()), 4, progress=lambda *done: seen.append(done))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    shares = {name: value for name, value in figures.items() if name not in ("nouns", "expressions")}
    assert {name for name, value in shares.items() if value != 1} <= {"AR_stuff", "AR_plural"}  # maybe there are none
    assert figures["nouns"] >= 8
    assert figures["expressions"] >= 1


def test_a_wrong_model_gets_zero() -> None:
    figures = evaluate_narratives(Grounder(Oracle(truth=0.0)), 4)
    assert figures["AR"] < 0.1
    assert figures["cIoU"] < 0.1
    assert figures["noun_recall"] == 1


def test_expressions_alone_have_the_same_figures() -> None:
    both = evaluate_narratives(Grounder(Oracle()), 4)
    alone = evaluate_expressions(Grounder(Oracle()), 4)
    assert alone == {name: both[name] for name in ("cIoU", "gIoU", "P50", "expressions")}
    assert evaluate_expressions(Grounder(Oracle(truth=0.4)), 4, threshold=0.5)["gIoU"] < 0.5


def test_nouns_that_are_not_heard_count_as_wrong() -> None:
    figures = evaluate_narratives(Grounder(Oracle(deaf=True)), 4)
    assert figures["AR"] == figures["noun_recall"]
    assert 0.4 < figures["AR"] < 0.7


def test_other_entities_can_be_given() -> None:
    def halves(image: np.ndarray, name: str) -> EntityMap:
        labels = np.ones(image.shape[:2], np.int32)
        labels[:, image.shape[1] // 2 :] = 2
        return EntityMap.from_labels(labels)

    figures = evaluate_narratives(Grounder(Oracle()), 4, segment=halves)
    assert 0 < figures["AR"] < 0.9


@pytest.mark.parametrize(
    ("words", "expected"),
    [("A large red area.", (1, 1, 0, 0)), ("A large blue area.", (0, 0, 1, 0)), ("Something.", (0, 0, 0, 1))],
)
def test_claims_about_photos(tmp_path: Path, words: str, expected: tuple[int, ...]) -> None:
    image, labels = np.zeros((60, 80, 3), np.uint8), np.ones((60, 80), np.uint8)
    image[..., 0], image[20:30, 20:30] = 220, (0, 0, 255)
    labels[20:30, 20:30] = 2
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(labels).save(tmp_path / "a_0.png")
    Image.fromarray(labels).save(tmp_path / "b_0.png")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    found = evaluate_claims(Grounder(Oracle(words=words)), LabelledPhotos(open_photos(tmp_path)))
    assert (found.true, found.clear, found.false, found.silent) == expected
    assert found.examples == (() if not found.false else (("a", words),))
    assert [line.split(":")[0] for line in found.problems] == ["photos that cannot be read (1)"]


class Echo:
    """A model that gives back all masks but the first one of every picture, which is missing."""

    def see(self, image: np.ndarray) -> None:
        assert image.dtype == np.uint8

    def reconstructed(self, sight: None, entities: EntityMap) -> np.ndarray:
        return np.arange(len(entities)) > 0

    def reconstructions(self, sight: None, entities: EntityMap) -> list[Reconstructed]:
        labels = torch.tensor(entities.labels)
        masks = torch.stack([labels == number for number in range(2, len(entities) + 1)])
        return [Reconstructed(masks, torch.ones(len(masks)), labels)]


def test_reconstruction_of_photos(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="average precision needs pycocotools")
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg")
    labels = np.repeat([[1] * 20 + [2] * 15 + [3] * 5], 20, axis=0).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "a.png")
    model: Any = Echo()
    for name in "bc":
        Image.fromarray(labels * 0).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() if name == "b" else b"nothing")
    measured = evaluate_reconstruction(model, None, photos=open_photos(tmp_path))
    found = measured.figures
    assert (found["pictures"], list(measured.problems.found)) == (
        1,
        ["photos without entities", "photos that cannot be read"],
    )
    assert found["all"] == pytest.approx(2 / 3)
    assert found["AP50"] == pytest.approx(2 / 3, abs=0.01)  # two of three are found, and nothing else
    assert found["AP"] == found["AP50"]
