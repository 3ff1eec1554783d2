"""The log of a run and its curves: intact rows are drawn, and damaged ones are named in one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.support.errors import EsgError, OutputError
from esg.training.plot import _smoothed, plot
from esg.training.run_log import LOG, read_log

ROWS = [
    {"step": 1, "loss": 3.0, "image_ce": 1.0, "lr": 1e-4},
    {"step": 1, "AP_boc": 0.5, "AP50_boc": 0.75},
    {"step": 2, "loss": 2.0, "image_ce": 1.0, "batch_ce": 0.5, "lr": 1e-4},
    {"step": 2, "AP_boc": 0.6, "AP50_boc": 0.8},
]


def logged(folder: Path, *lines: object) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / LOG).write_text(text)
    return folder


def test_a_last_row_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with (logged(tmp_path, *ROWS) / LOG).open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_log(tmp_path) == ROWS
    assert plot(tmp_path) == tmp_path / "plot.png"
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    picture = np.asarray(Image.open(tmp_path / "plot.png").convert("L"))
    for half in np.array_split(picture, 2, axis=1):  # the loss, and the AP
        assert half.std() > 10
    assert sorted(file.name for file in tmp_path.iterdir()) == [LOG, "plot.png"]


@pytest.mark.parametrize(
    ("rows", "terms", "figures"),
    [
        (
            ROWS,
            {
                "loss": ([1, 2], [3.0, pytest.approx((0.98 * 3.0 + 2.0) / 1.98)]),
                "image_ce": ([1, 2], pytest.approx([1.0, 1.0])),
                "batch_ce": ([2], pytest.approx([0.5])),
            },
            {"AP_boc": ([1, 2], [50.0, 60.0]), "AP50_boc": ([1, 2], [75.0, 80.0])},
        ),
        (
            [
                {"step": 1, "lr": 1, "loss": 3.0, "answer": 1.0, "grad_norm": 5, "seconds": 6, "waited": 7},
                {"step": 1, "AR": 0.25, "noun_recall": 0.5},
                {"step": 2, "AR": 0.5, "noun_recall": 0.5, "gIoU": 0.75},
            ],
            {"loss": ([1], [pytest.approx(3.0)]), "answer": ([1], [pytest.approx(1.0)])},
            {
                "AR": ([1, 2], [25.0, 50.0]),
                "noun_recall": ([1, 2], [50.0, 50.0]),
                "gIoU": ([1, 2], pytest.approx([float("nan"), 75.0], nan_ok=True)),
            },
        ),
        (
            [
                {"step": 1, "loss": 3.0, "answer": 1.0, "mask_ce": 2.0},
                {"step": 2, "loss": 1.0, "answer": 1.0},  # without a text to ground
            ],
            {
                "loss": ([1, 2], [3.0, pytest.approx((0.98 * 3.0 + 1.0) / 1.98)]),
                "answer": ([1, 2], pytest.approx([1.0, 1.0])),
                "mask_ce": ([1], pytest.approx([2.0])),
            },
            {},
        ),
        ([], {}, {}),
    ],
)
def test_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list, terms: dict, figures: dict) -> None:
    """Losses as they are, but smoothed; figures in percent; and two empty diagrams of a run that has not begun."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    drawn, save = [], figure.savefig
    monkeypatch.setattr(
        figure, "savefig", lambda self, *args, **options: (drawn.append(self), save(self, *args, **options))
    )
    plot(logged(tmp_path, *rows))
    for axes, expected in zip(drawn[0].axes, (terms, figures), strict=True):
        lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
        assert lines == expected


def test_a_run_without_a_log_has_no_rows(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param('{"step": 2, "lo', id="cut short"),
        pytest.param("", id="empty"),
        pytest.param("[2, 3.0]", id="no object"),
        pytest.param({"loss": 2.0}, id="no step"),
        pytest.param({"step": "two", "loss": 2.0}, id="a text for a step"),
        pytest.param({"step": 2, "loss": None}, id="no number"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, damaged: object) -> None:
    pytest.importorskip("matplotlib")
    logged(tmp_path, ROWS[0], damaged, ROWS[2])
    sentence = rf"^Line 2 of {tmp_path / LOG} is damaged; remove that line, or the whole file\.$"
    for use in (read_log, plot):
        with pytest.raises(EsgError, match=sentence):
            use(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [LOG]


def test_a_damaged_log_is_reported(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b"\xff\xfe\x00PK\n\x00\n")
    with pytest.raises(EsgError, match=r"^Line 1 of .* is damaged"):
        read_log(tmp_path)
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).mkdir()
    with pytest.raises(EsgError, match=f"{LOG} cannot be read") as caught:
        read_log(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_plot_that_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "plot.png").mkdir()
    with pytest.raises(OutputError, match=r"plot\.png cannot be written"):
        plot(logged(tmp_path, *ROWS))
    assert sorted(file.name for file in tmp_path.iterdir()) == [LOG, "plot.png"]


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EsgError, match="needs matplotlib: pip install matplotlib"):
        plot(tmp_path)


def test_smoothing_has_no_bias_and_forgets() -> None:
    assert _smoothed([]) == []
    assert _smoothed([5.0] * 4) == pytest.approx([5.0] * 4)
    assert _smoothed([4.0, 1.0], weight=0.5) == pytest.approx([4.0, 2.0])  # (0.25 · 4 + 0.5 · 1) / 0.75
    assert _smoothed([100.0] + [1.0] * 999)[-1] == pytest.approx(1.0, abs=1e-3)
