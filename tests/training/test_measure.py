"""Measuring in training: predictors with known AP, through the same views and fusion as photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from esg.data.labelled import UNKNOWN, LabelledPhoto
from esg.data.scenes.synth import HELD_OUT, make_scene
from esg.models.cropformer.model import Output
from esg.models.cropformer.views import ViewGeometry
from esg.models.layers.mask_decoder import Prediction
from esg.support.errors import NoNumbers
from esg.training.measure import MeasureConfig, measure

pytest.importorskip("pycocotools")

CPU = torch.device("cpu")
# The views have the scene's own size, which needs no padding: what is said about the full view is not resampled.
CONFIG = MeasureConfig(scenes=3, height=64, width=96, short=64, longest=96, fusions=("io", "bo", "bc", "boc"))

Choose = Callable[[np.ndarray], set[int]]
Predict = Callable[[Tensor, Tensor], Output]


def everything(labels: np.ndarray) -> set[int]:
    return set(np.unique(labels).tolist()) - {0}


def nothing(labels: np.ndarray) -> set[int]:
    return set()


def largest(labels: np.ndarray) -> set[int]:
    return {int(np.bincount(labels[labels > 0]).argmax())}


def features(labels: np.ndarray) -> Tensor:
    """Mask features of all views, (1, T, C + 1, H, W): ±½ for each of C entities, and ½ everywhere."""
    geometry = ViewGeometry.plan(*labels.shape, short=CONFIG.short, longest=CONFIG.longest)
    views = torch.zeros(len(geometry), 1, *geometry.padded_size)
    for view, (x0, y0, x1, y1), (h, w) in zip(views, geometry.boxes, geometry.sizes, strict=True):
        rows, columns = (np.arange(side) * (end - begin) // side for side, begin, end in ((h, y0, y1), (w, x0, x1)))
        view[:, :h, :w] = torch.from_numpy(labels[y0:y1, x0:x1][np.ix_(rows, columns)])
    entities = (views == torch.arange(1, int(labels.max()) + 1)[:, None, None]).float() - 0.5
    return torch.cat((entities, torch.full_like(views, 0.5)), dim=1)[None]


def said(labels: np.ndarray, choose: Choose) -> Prediction:
    """The chosen entities for certain. If those are all, there is also a mask of everything, but said to be no entity:
    it covers nothing, as it lies under the others."""
    entities = range(1, int(labels.max()) + 1)
    chosen = choose(labels)
    # Mask logits are ±20; those of a query that is not chosen are 0, which is nowhere in its mask.
    strengths = torch.tensor([40.0 * (entity in chosen) for entity in entities] + [40.0 * (chosen == {*entities})])
    sure = torch.tensor([20.0, -20.0])
    return Prediction(torch.stack([sure] * len(entities) + [-sure])[None], torch.diag(strengths)[None])


def predictor(image: Choose, batch: Choose, calls: list[tuple[Tensor, Tensor]] | None = None) -> Predict:
    """Says of each scene, in their order, the entities that are chosen from its labels, at either level."""
    seen: list[tuple[Tensor, Tensor]] = [] if calls is None else calls

    def predict(pixels: Tensor, frames: Tensor) -> Output:
        labels = make_scene(HELD_OUT + len(seen), CONFIG.height, CONFIG.width).labels
        seen.append((pixels, frames))
        views = [said(labels, choose) for choose in (image, nothing, nothing, nothing, nothing)]
        every = Prediction(*(torch.cat(parts) for parts in zip(*((v.logits, v.embeddings) for v in views))))
        # Only the last head counts, and at image level only the full view.
        wrong = said(labels, nothing)
        return Output([], features(labels), [wrong, every], [wrong, said(labels, batch)])

    return predict


def test_a_perfect_predictor_has_ap_one() -> None:
    result = measure(predictor(everything, everything), CONFIG, CPU)
    assert list(result) == [f"{name}_{fusion}" for fusion in CONFIG.fusions for name in ("AP", "AP50")]
    assert [result[name] for name in ("AP_io", "AP50_io", "AP_bo", "AP50_bo")] == pytest.approx([1.0] * 4)
    for fusion in ("bc", "boc"):  # the crops were resampled
        assert result[f"AP50_{fusion}"] > 0.9
        assert result[f"AP50_{fusion}"] >= result[f"AP_{fusion}"] > 0.5


def test_a_predictor_that_finds_nothing_has_ap_zero() -> None:
    assert set(measure(predictor(nothing, nothing), CONFIG, CPU).values()) == {0.0}


def test_what_is_missed_counts_at_its_own_level() -> None:
    """Of every scene the largest entity and no other: the recall is known, and precision is 1 up to there."""
    scenes = [make_scene(HELD_OUT + index, CONFIG.height, CONFIG.width).labels for index in range(CONFIG.scenes)]
    recall = len(scenes) / sum(len(everything(labels)) for labels in scenes)
    result = measure(predictor(largest, everything), CONFIG, CPU)
    assert result["AP_io"] == pytest.approx((int(100 * recall) + 1) / 101)  # of recall points 0.00, 0.01 ... 1.00
    assert result["AP_bo"] == pytest.approx(1)
    assert measure(predictor(everything, nothing), CONFIG, CPU)["AP_boc"] == 0


def test_a_loose_mask_with_the_best_class_score_cuts_nothing_out_of_stable_ones() -> None:
    def loose(pixels: Tensor, frames: Tensor) -> Output:
        output = perfect(pixels, frames)
        image = output.image[-1]
        image.logits[:, :-1] = torch.tensor([2.0, -2.0])
        image.logits[:, -1] = torch.tensor([20.0, -20.0])
        image.embeddings[:, -1] = 0
        image.embeddings[:, -1, -1] = 0.6  # half of it is the logit everywhere: a probability of 0.57
        return output

    perfect = predictor(everything, everything)
    assert measure(loose, CONFIG, CPU)["AP_io"] == 0
    perfect = predictor(everything, everything)
    # It has no pixel left, as all are claimed by others before.
    assert measure(loose, CONFIG, CPU, stable=True)["AP_io"] == pytest.approx(1)


def test_the_model_gets_the_views_of_held_out_scenes() -> None:
    calls: list[tuple[Tensor, Tensor]] = []
    measure(predictor(everything, everything, calls), CONFIG, CPU)
    assert [(tuple(pixels.shape), tuple(frames.shape)) for pixels, frames in calls] == [
        ((1, 5, 3, CONFIG.height, CONFIG.width), (1, 5, 4))
    ] * CONFIG.scenes
    assert not torch.equal(calls[0][0], calls[1][0])
    for _, frames in calls:
        assert frames[0, 0].tolist() == [0, 0, 1, 1]  # the full view first


@pytest.mark.parametrize("level", ["image", "batch"])
def test_nan_scores_are_reported(level: str) -> None:
    def broken(pixels: Tensor, frames: Tensor) -> Output:
        output = perfect(pixels, frames)
        getattr(output, level)[-1].logits[:, 0] = torch.nan
        return output

    perfect = predictor(everything, everything)
    with pytest.raises(NoNumbers, match="scores that are NaN or infinite"):
        measure(broken, CONFIG, CPU)


def test_photos_count_only_where_they_are_labelled() -> None:
    """Two true entities, and a third that is found in an unlabelled part of the photo."""
    labels = np.zeros((CONFIG.height, CONFIG.width), np.int32)
    labels[:, :32], labels[:, 32:64] = 1, 2
    shown = np.where(np.arange(CONFIG.width) < 64, labels, 3).astype(np.int32)
    config = dataclasses.replace(CONFIG, fusions=("io",))

    def predict(pixels: Tensor, frames: Tensor) -> Output:
        assert pixels.shape[1] == 1  # this fusion does not need crops
        wrong, right = said(shown, nothing), said(shown, everything)
        right.logits[0, :2] = torch.tensor([2.0, -2.0])  # the third one is the most certain
        return Output([], features(shown)[:, :1], [wrong, right], [])

    def measured(truth: np.ndarray) -> float:
        photo = LabelledPhoto("a", np.zeros((*truth.shape, 3), np.uint8), truth, (None, None))
        return measure(predict, config, CPU, photos=[photo])["AP_io"]

    assert measured(labels) == pytest.approx(2 / 3, abs=1e-6)
    assert measured(np.where(shown == 3, UNKNOWN, labels).astype(np.int32)) == pytest.approx(1, abs=1e-6)
