"""Plots the statistics of a data set as Fig. 3 of the papers does."""

from __future__ import annotations

from pathlib import Path

from ..data.statistics import DatasetStatistics
from ..support.errors import EsgError
from ..support.files import write_atomically

_SOURCES = 12


def plot_statistics(statistics: DatasetStatistics, path: str | Path) -> Path:
    """Draws the distributions of resolution, entities per photo and, if file names have folders, sources.

    Args:
        statistics: what to draw.
        path: the file to write; its suffix, such as .png or .pdf, decides the format.

    Raises:
        EsgError: matplotlib is not installed, or cannot write this format.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EsgError("The plot needs matplotlib: pip install matplotlib (or the extra esg[eval]).") from None
    path = Path(path)
    sources = list(statistics.sources.items())
    panels = 3 if len(sources) > 1 else 2
    figure = Figure(figsize=(5 * panels, 4), layout="constrained")
    axes = figure.subplots(1, panels)
    axes[0].hist([one.resolution for one in statistics.photos], bins=30)
    axes[0].set(xlabel="resolution, √(height · width), in pixels", ylabel="photos")
    entities = [one.entities for one in statistics.photos]
    axes[1].hist(entities, bins=min(30, max(entities, default=0) + 1))
    axes[1].set(xlabel="entities per photo", ylabel="photos")
    if panels == 3:
        shown = sources[:_SOURCES]
        axes[2].barh([name or "no folder" for name, _ in shown][::-1], [number for _, number in shown][::-1])
        axes[2].set(xlabel="photos", title="source (folder in the file name)")
    try:
        with write_atomically(path) as temporary:
            figure.savefig(temporary, format=path.suffix.lstrip(".").lower() or "png", dpi=120)
    except ValueError:
        raise EsgError(f"{path} has a suffix that matplotlib cannot write; use .png, .svg or .pdf.") from None
    return path
