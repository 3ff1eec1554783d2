"""Keeps the weights with the best measurement of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..support.errors import InputError
from .run_folder import BEST

if TYPE_CHECKING:
    from .task import Task

log = logging.getLogger(__name__)


class BestWeights:
    """The best weights of a run so far, in its folder.

    Args:
        run_dir: folder of the run.
        task: writes the weights.
        figure: name of the figure that decides; higher is better.
        rows: the run's log so far.
    """

    def __init__(self, run_dir: Path, task: Task, figure: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._path, self._task, self._figure = run_dir / BEST, task, figure
        self._best = max((row[figure] for row in rows if figure in row), default=float("-inf"))

    def consider(self, row: Mapping[str, Any], state: dict[str, Tensor]) -> None:
        """Writes the weights if their row of measurements is better than all before.

        Raises:
            InputError: the figure was not measured.
        """
        if self._figure not in row:
            measured = ", ".join(name for name in row if name != "step")
            raise InputError(f"The setting keep_best is {self._figure!r}, but only {measured} are measured.")
        if row[self._figure] > self._best:
            self._best = row[self._figure]
            self._task.write(self._path, state, row["step"])
            log.info("These are the best weights so far; they are in %s.", self._path)
