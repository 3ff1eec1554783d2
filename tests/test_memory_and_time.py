"""`python -m benchmarks.memory_and_time` with the small models; the times themselves are not tested."""

from __future__ import annotations

import re

import torch

from benchmarks.memory_and_time import SECONDS, Row, grounding, lines

CPU = torch.device("cpu")


def test_a_row_has_four_figures_beside_the_papers() -> None:
    said: list[str] = []
    row = Row("cropformer-nano", 64, 96, (11.4, 6.9, 9.8, 1503))
    lines(CPU, said.append, size=(80, 120), batch=1, repeats=1, rows=(row,))
    assert len(said) == 2
    assert re.fullmatch(r"cropformer-nano, 64/96: - \(11\.4\), - \(6\.9\), [\d.]+ \(9\.8\), \d+ \(1503\)", said[1])


def test_every_part_of_gella_is_measured() -> None:
    costs = grounding("gella-nano", CPU, 8, 3)
    assert set(costs) == set(SECONDS)
    assert all(cost.seconds > 0 and cost.gib is None for cost in costs.values())
