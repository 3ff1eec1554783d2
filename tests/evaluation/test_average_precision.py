"""AP^e, compared with the official evaluator's numbers, and on pictures with known AP."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest

from esg.entities.entity_map import EntityMap
from esg.evaluation.average_precision import average_precision
from esg.support.errors import EsgError, InputError


def test_equals_the_official_evaluator_with_crowds_ties_and_empty_masks(shared: Path) -> None:
    folder = shared / "reference" / "evaluator"
    truth, found, official = (
        json.loads((folder / name).read_text()) for name in ("gt.json", "pred.json", "official_results.json")
    )
    ids = [image["id"] for image in truth["images"]]
    predictions = [[(p["segmentation"], p["score"]) for p in found if p["image_id"] == i] for i in ids]
    truths = [[a for a in truth["annotations"] if a["image_id"] == i] for i in ids]
    result = average_precision(predictions, truths)
    expected = {name.replace("@", "").replace("100", ""): v for name, v in official["all_12_stats_segm"].items()}
    expected["AR100"] = expected.pop("AR")
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def _halves(scores: list[float]) -> EntityMap:
    labels = np.ones((40, 40), np.int32)
    labels[:, 20:] = 2
    return EntityMap.from_labels(labels, scores)


def test_perfect_prediction_has_ap_one() -> None:
    truth = np.full((40, 40), 7)
    truth[:, 20:] = 3
    result = average_precision([_halves([0.2, 0.9])], [truth])
    assert result["AP"] == result["AP75"] == result["AR100"] == pytest.approx(1)
    assert result["APm"] == result["APl"] == -1  # both halves are below 32² pixels


def test_half_of_an_entity_counts_only_at_iou_one_half() -> None:
    truth = np.ones((40, 40), np.int32)
    result = average_precision([[(np.arange(40) < np.full((40, 1), 20), 0.5)]], [truth])
    assert result["AP50"] == pytest.approx(1)
    assert result["AP"] == pytest.approx(0.1)  # one of ten thresholds


def test_missed_entity_halves_the_recall() -> None:
    truth = np.ones((40, 40), np.int32)
    truth[:, 20:] = 2
    result = average_precision([[(truth == 1, 0.9)]], [truth])
    assert result["AR100"] == pytest.approx(0.5)
    assert result["AP"] == pytest.approx(51 / 101)  # precision 1 at the 51 recall points 0.00 ... 0.50


def test_overlapping_predictions_are_allowed_and_the_worse_one_is_a_false_positive() -> None:
    truth = np.ones((40, 40), np.int32)
    whole = truth == 1
    assert average_precision([[(whole, 0.9), (whole, 0.8)]], [truth])["AP"] == pytest.approx(1)
    wrong_first = [(np.eye(40, dtype=bool), 0.9), (whole, 0.8)]
    assert average_precision([wrong_first], [truth])["AP"] == pytest.approx(0.5)


def test_no_predictions_and_no_truth() -> None:
    truth = np.ones((8, 8), np.int32)
    assert average_precision([[]], [truth])["AP"] == 0
    assert average_precision([[(truth == 1, 1.0)]], [np.zeros((8, 8), np.int32)])["AP"] == -1
    assert average_precision([], [])["AP"] == -1


def test_another_number_of_predictions_is_refused() -> None:
    with pytest.raises(InputError, match="give one per picture"):
        average_precision([[]], [])


def test_missing_pycocotools_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EsgError, match="pip install"):
        average_precision([[]], [np.ones((8, 8), np.int32)])
