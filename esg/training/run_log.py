"""The log of a training run: a line of JSON for every step and for every measurement."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..support.errors import EsgError
from ..support.files import write_atomically
from .task import Task

LOG = "log.jsonl"


def read_log(run_dir: str | Path) -> list[dict[str, Any]]:
    """The rows of a run's log, as numbers by name; a last row that a kill cut short is dropped.

    Raises:
        EsgError: another row is damaged, or the log cannot be read.
    """
    path = Path(run_dir) / LOG
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise EsgError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:  # not JSON, or not even text
            if number == len(lines):
                break
            row = None
        if not _is_row(row):
            raise EsgError(f"Line {number} of {path} is damaged; remove that line, or the whole file.")
        rows.append(row)
    return rows


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and "step" in row and all(isinstance(value, (int, float)) for value in row.values())


class RunLog:
    """The log of a run, open for appending. Opening it also writes the other texts in the run's folder.

    Args:
        run_dir: folder of the run.
        task: its settings and files.
        start: number of steps in the checkpoint; later rows are removed, because these steps are trained again.

    Raises:
        EsgError: the log is damaged.
        OutputError: the folder cannot be written.
    """

    def __init__(self, run_dir: Path, task: Task, start: int) -> None:
        rows = [row for row in read_log(run_dir) if row["step"] <= start]
        config = json.dumps(dataclasses.asdict(task.config), indent=2) + "\n"
        log_text = "".join(json.dumps(row) + "\n" for row in rows)
        for name, text in {LOG: log_text, "config.json": config, **task.files}.items():
            with write_atomically(run_dir / name) as path:
                path.write_text(text, encoding="utf-8")
        self._file = (run_dir / LOG).open("a")

    def add(self, row: dict[str, Any]) -> None:
        """Writes a row at once."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def step_line(row: dict[str, Any], steps: int) -> str:
    """The row of a step in words; `steps` is the length of the run."""
    left = (steps - row["step"]) * row["seconds"] / 3600
    terms = " ".join(f"{name} {value:.2f}" for name, value in row.items() if name.endswith(("answer", "ce", "dice")))
    return (
        f"step {row['step']}/{steps} loss {row['loss']:.2f} ({terms}) lr {row['lr']:.1e} "
        f"{row['seconds']:.2f} s/step, {left:.1f} h left"
    )


def measurement_line(row: dict[str, Any]) -> str:
    """The row of a measurement in words."""
    figures = ", ".join(f"{name} {100 * value:.1f}" for name, value in row.items() if name != "step")
    return f"Step {row['step']}, averaged weights: {figures}"
