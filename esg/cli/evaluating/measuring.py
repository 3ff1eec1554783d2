"""Shared by the tasks that measure masks: data set, workers, resuming an interrupted run, and the table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...support.errors import InputError
from ..arguments import Machine, add_no_overwrite, file_or_folder, not_empty, whole
from ..console import Console
from ..results import check_folder

if TYPE_CHECKING:
    from ...data.problems import Problems
    from ...evaluation.journal import Journal
    from ...segmenter import EntitySegmenter

_COUNTS = ("HCE",)  # figures that are not percentages

MODEL = "cropformer-nano"
"""The segmenter that is measured if none is named."""


@dataclass(frozen=True)
class Measuring:
    """How photos are measured, and where the results go.

    Attributes:
        workers: number of processes.
        resume: file with the results of each photo.
        out: file of the figures.
        plots: folder of the plots.
        data_set: the paper's name for the data; None: as the path says.
    """

    workers: int
    resume: Path | None
    out: Path | None
    plots: Path | None
    data_set: str | None

    @property
    def partial(self) -> Path | None:
        """The file beside --json that keeps the results of each photo, unless --resume names another."""
        return None if self.resume or not self.out else self.out.with_name(f"{self.out.name}.partial")

    def open_journal(self, task: str, **about: object) -> Journal:
        """The journal of --resume, or the one beside --json; without both, one that is not written.

        Args:
            task: name of the task.
            about: data, predictions and options, by name. A path also stands for the time at which it was changed.
        """
        from ...evaluation.journal import Journal, identity

        run = {name: identity(value) if isinstance(value, Path) else value for name, value in about.items()}
        partial = self.partial
        return Journal(partial or self.resume, {"task": task, **run}, replace=partial is not None)

    def known_data_set(self, truth: Path) -> str | None:
        """The data set of --data-set, or the one that the path names.

        Raises:
            InputError: the papers do not have that data set.
        """
        from ...evaluation.paper import DATA_SETS, data_set_of

        if self.data_set is None:
            return data_set_of(truth)
        if self.data_set not in DATA_SETS:
            raise InputError(f"--data-set is {self.data_set}; the papers have {', '.join(DATA_SETS)}.")
        return self.data_set

    def check_plots(self) -> None:
        """Checks, before the work, that --plots can be drawn and written; EsgError if not."""
        if self.plots is not None:
            from ...evaluation.plots import matplotlib_figure

            matplotlib_figure()
            check_folder(self.plots)


def add_images(command: argparse.ArgumentParser) -> None:
    """Adds the folder of photos."""
    command.add_argument(
        "--images", type=file_or_folder, metavar="DIR", help="folder of the photos [found near the annotations]"
    )


def add_segmenter(command: argparse.ArgumentParser) -> None:
    """Adds --model, the segmenter that is measured."""
    command.add_argument(
        "--model",
        type=not_empty,
        metavar="NAME|FILE",
        help="the segmenter; with --predictions, the model that made them, so that the paper's figures for it are "
        f"printed [{MODEL}]",
    )


def load_segmenter(name: str, machine: Machine, console: Console) -> EntitySegmenter:
    """Loads a segmenter by name or from a file."""
    from ...segmenter import EntitySegmenter

    console.progress(f"Loading {name} ...")
    return EntitySegmenter.from_pretrained(name, **machine)


def add_measuring(command: argparse.ArgumentParser, *, plots: bool = False) -> None:
    """Adds the options for workers, files, plots and the paper's figures."""
    group = command.add_argument_group("measuring")
    group.add_argument(
        "--workers", type=whole(1), default=1, metavar="N", help="processes that measure photos at the same time [1]"
    )
    group.add_argument(
        "--resume",
        type=file_or_folder,
        metavar="FILE",
        help="keep the results of each photo here; after an interruption the same command continues from there [a "
        "file beside --json, which is deleted at the end]",
    )
    group.add_argument(
        "--json", dest="out", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file"
    )
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")
    if plots:
        group.add_argument(
            "--plots",
            type=file_or_folder,
            metavar="DIR",
            help="draw precision and recall, AP by IoU, and the worst photos into this folder",
        )
    group.add_argument(
        "--data-set",
        type=not_empty,
        metavar="NAME",
        help="name of the data in the paper, to print the paper's figures beside the measured ones: entityseg, "
        "entityseg-low, coco, ade20k, lvis, ocid, camo, fss or dis5k [guessed from the path]",
    )


def measuring_of(args: argparse.Namespace) -> Measuring:
    """The options of `add_measuring`."""
    return Measuring(args.workers, args.resume, args.out, getattr(args, "plots", None), args.data_set)


def model_file(name: str) -> list[Any] | str:
    """Values that differ for another model: its file and when it was changed, or else its name."""
    from ...evaluation.journal import identity

    return identity(name) if Path(name).exists() else name


def say_resumed(journal: Journal, console: Console) -> None:
    """Says how many photos an earlier run has done."""
    if journal.done:
        console.line(f"{len(journal.done)} photos were measured in an earlier run.")


def show(
    figures: Mapping[str, float], meanings: Mapping[str, str], paper: Mapping[str, float], console: Console
) -> dict[str, Any]:
    """Prints figures in percent, with the paper's beside them if there are any, and returns them so.

    -1, COCO's sign that nothing is annotated, becomes NaN.
    """
    shown: dict[str, Any] = {}
    for name, meaning in meanings.items():
        if name not in figures:
            continue
        value = figures[name]
        shown[name] = value if name in _COUNTS else math.nan if value < 0 else 100 * value
        beside = ""
        if paper:
            beside = f"  {paper[name]:5.1f}" if name in paper else "      -"
        measured = "    -" if math.isnan(shown[name]) else f"{shown[name]:5.1f}"
        console.answer(f"  {name:16} {measured}{beside}  {meaning}")
    return shown


def title(text: str, paper: Mapping[str, float]) -> str:
    """The line above a table, which says what its columns are."""
    return f"{text}; measured, and in the paper" if paper else text


def say_problems(problems: Problems, console: Console) -> None:
    """Prints a line for each problem."""
    for line in problems:
        console.complain(line)


def show_classes(by_category: Mapping[str, float], what: str, console: Console, most: int = 5) -> None:
    """Prints the best and the worst classes."""
    known = sorted(by_category.items(), key=lambda item: -item[1])
    if len(known) > 1:
        console.answer(f"  best {what}: {_listed(known[:most])}")
        console.answer(f"  worst {what}: {_listed(known[::-1][:most])}")


def _listed(items: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in items)
