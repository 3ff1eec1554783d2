"""`python -m benchmarks.start`: the processes that it starts, and the figures made of their times."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.start import IMPORTS, PHOTO, WORDS, summary, whole, words
from esg import EntityMap, Grounder, read_image

linux = pytest.mark.skipif(sys.platform != "linux", reason="the figures of processes are Linux's")


@linux
def test_importing_esg_does_not_import_torch() -> None:
    found = whole("import esg", [sys.executable, "-c", IMPORTS["import esg"]])
    assert found["import esg"].keys() == {"seconds", "cpu"}


@linux
def test_a_program_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match=r"^a test failed: .* exit status 3"):
        whole("a test", [sys.executable, "-c", "exit(3)"])


@pytest.mark.parametrize("task", WORDS)
def test_the_photo_is_encoded_the_first_time_only(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    height, width = read_image(PHOTO).shape[:2]
    labels = np.ones((height, width), np.int32)
    labels[:, width // 2 :] = 2
    EntityMap.from_labels(labels).save_labels_png(tmp_path / "labels.png")
    grounder, seen = Grounder.from_pretrained("gella-nano", device="cpu"), []
    see = grounder.model.see
    monkeypatch.setattr(grounder.model, "see", lambda pixels: seen.append(1) or see(pixels))
    monkeypatch.setattr(Grounder, "from_pretrained", lambda *_, **__: grounder)
    found = words(task, tmp_path / "labels.png")
    assert [*found] == ["load gella-nano", f"first {task}", f"second {task}"]
    assert len(seen) == 1


def test_ratios_to_importing_torch_are_medians_of_rounds() -> None:
    rounds = [
        {"import torch": {"seconds": 9.0, "cpu": torch}, "esg segment": {"seconds": 1.0, "cpu": segment}}
        for torch, segment in ((1.0, 2.0), (2.0, 6.0), (4.0, 40.0))
    ]
    found = summary(rounds)
    assert found["import torch"] == {"seconds": 9.0, "cpu": 2.0, "ratio": 1.0}
    assert found["esg segment"] == {"seconds": 1.0, "cpu": 6.0, "ratio": 3.0}  # the middle one of 2, 3 and 10
