"""Records the results of a benchmark: the machine they are from, the figures as JSON, and a plot of them."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from esg.support.errors import EsgError
from esg.version import __version__

Bars: TypeAlias = Mapping[str, float | Mapping[str, float]]


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="also write the figures here, as JSON and as a plot")


def machine() -> dict[str, Any]:
    """The machine and the software that decide how fast something runs."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": named[0] if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "esg": __version__,
        "date": datetime.date.today().isoformat(),
    }


def machine_line() -> str:
    """The most important facts about the machine, for people who read a benchmark's output."""
    own = machine()
    gpu = f", {own['gpu']}" if own["gpu"] else ""
    return (
        f"Measured on {own['processor']}{gpu} (cores: {own['cores']}, threads: {own['threads']}), "
        f"PyTorch {own['torch']}, {own['date']}"
    )


def save(folder: Path | None, name: str, figures: Any, bars: Bars, unit: str) -> None:
    """Prints the machine, and writes FOLDER/NAME.json, and FOLDER/NAME.png if matplotlib is installed.

    Without a folder, nothing is written.

    Args:
        figures: whatever was measured, as JSON can hold it.
        bars: one bar of the plot for each, in this order; a bar of several parts has the length of each part by name.
        unit: what the length of a bar means, such as "seconds".
    """
    print(f"\n{machine_line()}")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "figures": figures}, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    written = f"{folder / name}.json"
    try:
        _draw(folder / f"{name}.png", name, bars, unit)
        written += f" and {name}.png"
    except EsgError as missing:
        written += f"; no plot: {missing}"
    print(f"Written: {written}")


def _draw(path: Path, title: str, bars: Bars, unit: str) -> None:
    from esg.evaluation.plots import matplotlib_figure

    figure = matplotlib_figure()(figsize=(8, 1.2 + 0.35 * len(bars)), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=unit)
    parts = {name: length if isinstance(length, Mapping) else {"": length} for name, length in bars.items()}
    names = list(dict.fromkeys(part for own in parts.values() for part in own))
    left = np.zeros(len(parts))
    for name in names:
        lengths = np.array([own.get(name, 0.0) for own in parts.values()])
        drawn = axes.barh(list(parts), lengths, left=left, label=name)
        left += lengths
    if len(names) > 1:
        figure.legend(loc="outside lower center", ncols=6)
    elif names:
        axes.bar_label(drawn, fmt="%.3g", padding=3)
        axes.margins(x=0.12)
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)
