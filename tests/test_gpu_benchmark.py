"""The benchmark for GPUs runs from beginning to end, so that whoever has a GPU gets its figures with one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu


def test_without_a_gpu_it_is_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out.startswith("Skipped: this needs an NVIDIA GPU")


def test_a_dry_run_goes_through_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--dry-run", "--out", str(tmp_path)])
    assert "failed" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "gpu.json").read_text())["figures"]
    for row in ("the authors' way, fp32", "ours, fp32", "ours, bf16, views one by one", "ours, bf16, fused on the CPU"):
        assert figures[row]["seconds"] > 0, row
    assert 0 <= figures["agreement, bf16"]["worst"] <= 1
    assert figures["GELLA, narrative"]["tokens"] == figures["GELLA, narrative with 6 guesses"]["tokens"]
    assert {"GELLA, 5 nouns and 5 entities", "GELLA, 5 nouns and 8 entities"} <= {*figures}


def test_label_maps_agree_whatever_the_numbers_of_their_entities() -> None:
    labels = np.repeat(np.arange(4), 6).reshape(4, 6)
    assert gpu.agreement(labels, np.array([0, 3, 1, 2])[labels]) == 1.0
    other = labels.copy()
    other[:, :3] = 3 - labels[:, :3]  # the left half is upside down
    assert gpu.agreement(labels, other) == 0.5
    assert gpu.agreement(labels, np.where(labels == 3, 2, labels)) == 0.75  # two entities cannot both be the same one


def test_no_entity_only_agrees_with_no_entity() -> None:
    labels = np.array([[1, 1, 1, 2]])
    assert gpu.agreement(labels, np.array([[0, 0, 0, 1]])) == 0.25
    assert gpu.agreement(labels, np.zeros_like(labels)) == 0.0
    assert gpu.agreement(np.zeros_like(labels), np.zeros_like(labels)) == 1.0


def test_a_row_that_fails_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    bench = gpu.Bench(torch.device("cpu"), dry=True)
    with bench.part("first"):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate ...")
    bench.measure("second", lambda: None)
    assert list(bench.figures) == ["first", "second"]
    assert "first" in capsys.readouterr().out
