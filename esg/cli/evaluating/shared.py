"""Shared by the tasks of `esg eval`: options, loading of models, progress, and printing of figures."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...support.errors import InputError
from ..arguments import Machine, add_grounder, add_machine, add_no_overwrite, file_or_folder, machine_of, not_empty
from ..console import Console

if TYPE_CHECKING:
    from ...evaluation.entity_sources import Segment
    from ...evaluation.journal import Journal
    from ...grounder import Grounder
    from ...support.progress import ItemProgress

UNITS = "Printed figures are percentages; those in the file are fractions."


@dataclass(frozen=True)
class Models:
    """The grounder that a task measures, and the source of the entities.

    Attributes:
        model: name or file of the grounder.
        segmenter, masks: see `segmenter`.
        machine: where the models run.
    """

    model: str
    segmenter: str | None
    masks: Path | None
    machine: Machine

    def grounder(self, console: Console) -> Grounder:
        """Loads the grounder."""
        from ...grounder import Grounder

        console.progress(f"Loading {self.model} ...")
        return Grounder.from_pretrained(self.model, **self.machine)

    def entities(self) -> Segment | None:
        """The source of the entities of photos; None for the true entities."""
        return segmenter(self.segmenter, self.masks, self.machine)

    def scene_entities(self) -> Segment | None:
        """The same for synthetic scenes, for which there are no files of masks."""
        if self.masks is not None:
            raise InputError("--masks needs photos; synthetic scenes take --segmenter.")
        return self.entities()

    def open_journal(self, path: Path | None, data: str, **options: object) -> Journal:
        """The journal of --resume; other data, models and options than those of the earlier run are refused."""
        from ...evaluation.journal import Journal

        run = {"data": data, "model": self.model, "segmenter": self.segmenter, "masks": self.masks, **options}
        return Journal(path, run)


def add_grounding(command: argparse.ArgumentParser) -> None:
    """Adds the options of tasks that measure a grounder."""
    add_entity_source(add_grounder(command))
    add_output(command)
    add_machine(command)


def models_of(args: argparse.Namespace) -> Models:
    """The models of `add_grounding`."""
    return Models(args.model, args.segmenter, args.masks, machine_of(args))


def add_entity_source(group: Any) -> None:
    """Adds the options that say where entities come from."""
    group.add_argument(
        "--segmenter",
        type=not_empty,
        metavar="NAME|FILE",
        help="the model that finds the entities, such as cropformer-nano [none: the true entities are used]",
    )
    group.add_argument(
        "--masks",
        type=file_or_folder,
        metavar="DIR|FILE",
        help="take the entities from any program instead: a folder with a file or a folder of masks for each photo, "
        "named after it, or a file about several photos, such as COCO's; docs/formats.md has the full list",
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Adds the options for the file of figures."""
    command.add_argument("--out", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file")
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")


def counting(console: Console, what: str) -> ItemProgress:
    """Reports progress as "photo 3/50"."""
    return partial(_report, console, what)


def _report(console: Console, what: str, done: int, total: int) -> None:
    console.progress(f"{what} {done}/{total}")


def segmenter(name: str | None, masks: Path | None, machine: Machine) -> Segment | None:
    """The source of entities: a segmenter, or files of masks; None for the true entities."""
    from ...evaluation.entity_sources import MasksFromFiles, segmented_by

    if name is not None and masks is not None:
        raise InputError("Give --segmenter or --masks, not both.")
    if masks is not None:
        return MasksFromFiles(masks)
    if name is None:
        return None
    from ...segmenter import EntitySegmenter

    return segmented_by(EntitySegmenter.from_pretrained(name, **machine))


def refuse_without_path(data: str, options: Mapping[str, object]) -> None:
    """Raises InputError if an option is given that only goes with data, not with synthetic scenes."""
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option} needs the PATH of {data}.")


def add_resume(command: argparse.ArgumentParser, item: str = "photo") -> None:
    """Adds the option for a file with the result of every item, from which an interrupted run continues."""
    command.add_argument(
        "--resume",
        type=file_or_folder,
        metavar="FILE.jsonl",
        help=f"keep the result of every {item} in this file; the same command continues after the last one",
    )


def show(
    console: Console, names: Mapping[str, str], figures: Mapping[str, float], paper: Mapping[str, Mapping[str, float]]
) -> None:
    """Prints figures by name with their explanations, and beside them those of the paper, which are in percent."""
    width = max(map(len, names))
    columns = {model: max(5, len(model)) for model in paper}
    if paper:
        heads = "".join(f"  {model:>{columns[model]}}" for model in columns)
        console.answer(f"  {'':{width}}  here{heads}  (as in the paper)")
    for name, what in names.items():
        if name in figures:
            cells = (
                f"  {row[name]:{columns[model]}.1f}" if name in row else f"  {'-':>{columns[model]}}"
                for model, row in paper.items()
            )
            console.answer(f"  {name:{width}} {percent(figures[name])}{''.join(cells)}  {what}".rstrip())


def show_problems(console: Console, problems: Iterable[str]) -> None:
    """Writes a line about each kind of items that were left out or count as wrong."""
    for problem in problems:
        console.line(f"Note: {problem}")


def percent(fraction: float) -> str:
    """A fraction in percent, five characters wide; "-" if there is none."""
    return "    -" if math.isnan(fraction) else f"{100 * fraction:5.1f}"
