"""The benchmark for GPUs runs from beginning to end, so that whoever has a GPU gets its figures with one command."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_a_row_that_fails_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    bench = gpu.Bench(torch.device("cpu"), dry=True)
    with bench.part("first"):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate ...")
    bench.measure("second", lambda: None)
    assert list(bench.figures) == ["first", "second"]
    assert "first" in capsys.readouterr().out
