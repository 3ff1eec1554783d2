"""Plots the curves of a run: the loss and the measured figures, by step."""

from __future__ import annotations

from pathlib import Path

from ..support.errors import EsgError
from ..support.files import write_atomically
from .run_log import read_log

_NOT_TERMS = ("step", "lr", "grad_norm", "seconds", "waited")  # everything else in a step's row is a loss


def plot(run_dir: str | Path) -> Path:
    """Draws `plot.png` into the run's folder: the loss (smoothed) and its terms, and the measured figures.

    Raises:
        EsgError: matplotlib is not installed, or the log is damaged.
        OutputError: `plot.png` cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EsgError("The plot needs matplotlib: pip install matplotlib (or the extra esg[train]).") from None
    rows = read_log(run_dir)
    steps = [row for row in rows if "loss" in row]
    measured = [row for row in rows if "loss" not in row]
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    terms = dict.fromkeys(name for row in steps for name in row if name not in _NOT_TERMS)  # a step may lack some terms
    for name in terms:
        chosen = [row for row in steps if name in row]
        values = _smoothed([row[name] for row in chosen])
        left.plot([row["step"] for row in chosen], values, label=name, linewidth=2 if name == "loss" else 1)
    left.set(xlabel="step", ylabel="loss", yscale="log", title="Loss (summed over the prediction heads)")
    for name in (name for name in (measured[-1] if measured else {}) if name != "step"):
        values = [100 * row.get(name, float("nan")) for row in measured]
        right.plot([row["step"] for row in measured], values, "o-", markersize=3, label=name)
    right.set(xlabel="step", ylabel="%", title="Held-out pictures")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    path = Path(run_dir) / "plot.png"
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return path


def _smoothed(values: list[float], weight: float = 0.98) -> list[float]:
    """Exponential moving average, corrected for the bias at its start."""
    smooth, total, out = 0.0, 0.0, []
    for value in values:
        smooth, total = weight * smooth + (1 - weight) * value, weight * total + (1 - weight)
        out.append(smooth / total)
    return out
