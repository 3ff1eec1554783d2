"""`python -m benchmarks.gella_cost`: parameters of the published sizes, and operations that can be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gella_cost
from benchmarks.gella_cost import (
    OPERATIONS,
    PARAMETERS,
    ReadingCost,
    built,
    counted_reading,
    operations,
    parameters,
    reading_cost,
)
from esg.models.gella.config import PRESETS
from esg.models.gella.model import Gella


@pytest.fixture(scope="module")
def large() -> Gella:
    return built("gella-7b")


@pytest.fixture(scope="module")
def nano() -> Gella:
    return built("gella-nano")


def test_parameters_are_all_there_and_about_the_papers(large: Gella) -> None:
    held = parameters(large)
    assert sum(held.values()) == sum(parameter.numel() for parameter in large.parameters())
    assert held["image encoder"] == pytest.approx(PARAMETERS["image encoder"] * 1e6, rel=0.02)
    assert held["mask decoder"] == pytest.approx(PARAMETERS["mask decoder"] * 1e6, rel=0.1)
    assert held["mask encoder"] == pytest.approx(2.2e6, rel=0.02)  # without the classifier, which the paper counts


@pytest.fixture(scope="module")
def large_reads(large: Gella) -> ReadingCost:
    return reading_cost(large)


def test_reading_is_counted_as_by_hand(large_reads: ReadingCost) -> None:
    sizes, tokens = PRESETS["gella-7b"].language, 10
    layer = 4 * sizes.width**2 + 3 * sizes.width * sizes.ffn  # attention's four matrices, and the three of the MLP
    products = tokens * (sizes.layers * layer + sizes.width * sizes.vocabulary)
    attention = sizes.layers * 2 * tokens**2 * sizes.width
    assert large_reads(tokens) == pytest.approx(2 * (products + attention), rel=1e-6)  # and the angles of positions


def test_a_longer_text_is_read_as_two_counts_foretell(nano: Gella) -> None:
    assert reading_cost(nano)(50) == counted_reading(nano, 50)


@pytest.mark.parametrize("wanted", [OPERATIONS["language model"] * 1e9, 1e12])
def test_the_papers_language_model_reads_as_many_tokens(large_reads: ReadingCost, wanted: float) -> None:
    tokens = large_reads.longest(wanted)
    assert large_reads(tokens) <= wanted < large_reads(tokens + 1)


def test_every_part_costs_something(nano: Gella) -> None:
    assert min(operations(nano).values()) > 0


def test_it_prints_the_papers_figures_beside_ours_and_saves_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    large: Gella,
    large_reads: ReadingCost,
) -> None:
    monkeypatch.setattr("sys.argv", ["gella_cost", "--preset", "gella-7b", "--text", "20", "--out", str(tmp_path)])
    monkeypatch.setattr(gella_cost, "built", {"gella-7b": large}.__getitem__)
    monkeypatch.setattr(gella_cost, "reading_cost", {large: large_reads}.__getitem__)
    gella_cost.main()
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["image", "encoder"] and line.endswith("300.0") for line in lines)
    assert any(line.split()[:2] == ["language", "model"] and line.endswith("11987") for line in lines)
    figures = [line for line in lines if line.startswith("  ")]
    assert {line[2:24].strip() for line in figures} >= {*parameters(large), "image + mask encoder", "all"}
    assert min(float(figure) for line in figures for figure in line[24:].split()) > 0
    saved = json.loads((tmp_path / "gella_cost.json").read_text())["figures"]["gella-7b"]
    assert saved["parameters"] == parameters(large)
    assert f"{saved['operations']['mask decoder'] / 1e9:.1f}" in "\n".join(figures)
