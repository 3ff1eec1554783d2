"""`python -m benchmarks.memory_and_time` with the small models; the times themselves are not tested."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks import memory_and_time
from benchmarks.memory_and_time import ROWS, SECONDS, Cost, Row, grounding, main, summed_up, table

CPU = torch.device("cpu")


def test_a_row_has_four_figures_beside_the_papers(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("cropformer-nano", 64, 96, (11.4, 6.9, 9.8, 1503))
    found = table({"small": row}, CPU, (80, 120), batch=1, repeats=1)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert re.fullmatch(r"cropformer-nano, 64/96: - \(11\.4\), - \(6\.9\), [\d.]+ \(9\.8\), \d+ \(1503\)", said[1])
    assert said[1].endswith(f" {found['small']['inference_ms']:.0f} (1503)")


def test_figures_are_medians_of_time_and_the_most_memory() -> None:
    assert summed_up([Cost(9.0, 1.0), Cost(1.0, 3.0), Cost(2.0, 2.0)]) == Cost(2.0, 3.0)
    assert summed_up([Cost(1.0)]) == Cost(1.0, None)


def test_the_figures_of_both_parts_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_and_time, "training", lambda *_: (Cost(2.0, 4.0), 1000))
    monkeypatch.setattr(memory_and_time, "inference", lambda *_: Cost(0.5, 3.0))
    monkeypatch.setattr(memory_and_time, "grounding", lambda *_: dict.fromkeys(SECONDS, Cost(1.5)))
    monkeypatch.setattr("sys.argv", ["memory_and_time", "--rows", "nano", "--batch", "8", "--out", str(tmp_path)])
    main()
    figures = json.loads((tmp_path / "memory_and_time.json").read_text())["figures"]
    days = 2.0 * 1000 * 2 / 86400  # steps of 8 pictures in place of 16
    assert figures["nano"] == pytest.approx(
        {"training_gib": 4.0, "inference_gib": 3.0, "training_days": days, "inference_ms": 500.0}
    )
    assert figures["gella-7b, mask decoder"] == dataclasses.asdict(Cost(1.5))


def test_a_row_that_does_not_fit_in_memory_is_left_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def training(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(memory_and_time, "training", training)
    assert table({"nano": ROWS["nano"]}, CPU, (80, 120), batch=1, repeats=1) == {"nano": {}}
    assert capsys.readouterr().out.endswith("out of memory\n")


def test_every_part_of_gella_is_measured() -> None:
    costs = grounding("gella-nano", CPU, 8, 3)
    assert set(costs) == set(SECONDS)
    assert all(cost.seconds > 0 and cost.gib is None for cost in costs.values())
