"""`python -m benchmarks.gella_cost`: parameters of the published sizes, and operations that can be counted by hand."""

from __future__ import annotations

import pytest

from benchmarks import gella_cost
from benchmarks.gella_cost import OPERATIONS, PARAMETERS, built, operations, parameters, reading, tokens_for
from esg.models.gella.config import PRESETS
from esg.models.gella.model import Gella


@pytest.fixture(scope="module")
def large() -> Gella:
    return built("gella-7b")


def test_parameters_are_all_there_and_about_the_papers(large: Gella) -> None:
    held = parameters(large)
    assert sum(held.values()) == sum(parameter.numel() for parameter in large.parameters())
    assert held["image encoder"] == pytest.approx(PARAMETERS["image encoder"] * 1e6, rel=0.02)
    assert held["mask decoder"] == pytest.approx(PARAMETERS["mask decoder"] * 1e6, rel=0.1)
    assert held["mask encoder"] == pytest.approx(2.2e6, rel=0.02)  # without the classifier, which the paper counts


def test_reading_is_counted_as_by_hand(large: Gella) -> None:
    sizes, tokens = PRESETS["gella-7b"].language, 10
    layer = 4 * sizes.width**2 + 3 * sizes.width * sizes.ffn  # attention's four matrices, and the three of the MLP
    products = tokens * (sizes.layers * layer + sizes.width * sizes.vocabulary)
    attention = sizes.layers * 2 * tokens**2 * sizes.width
    assert reading(large, tokens) == pytest.approx(2 * (products + attention), rel=1e-6)  # and the angles of positions


def test_the_papers_language_model_reads_as_many_tokens(large: Gella) -> None:
    wanted = OPERATIONS["language model"] * 1e9
    tokens = tokens_for(large, wanted)
    assert reading(large, tokens) <= wanted < reading(large, tokens + 1)


@pytest.mark.parametrize("preset", ["gella-nano", "gella-7b"])
def test_every_part_costs_something(preset: str, large: Gella) -> None:
    model = large if preset == "gella-7b" else built(preset)
    cost = operations(model, 20)
    assert min(cost.values()) > 0
    more = operations(model, 21)
    assert more["language model"] > cost["language model"]
    assert {name: count for name, count in more.items() if name != "language model"} == {
        name: count for name, count in cost.items() if name != "language model"
    }


def test_it_prints_the_papers_figures_beside_ours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["gella_cost", "--preset", "gella-7b", "--text", "20"])
    gella_cost.main()
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["image", "encoder"] and line.endswith("300.0") for line in lines)
    assert any(line.split()[:2] == ["language", "model"] and line.endswith("11987") for line in lines)
