"""The interface between the training loop and a task: model, training data and losses."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .config import RunConfig


class Task(Protocol):
    """A model to train, its training data and its losses.

    Attributes:
        config: settings of the run, a dataclass that can be written as JSON.
        preset: name of the architecture.
        changes: names and values of the architecture that differ from the preset.
        seed: random seed of the run.
        partial: whether a step may leave parts of the model unused.
        files: texts that the run stores in its folder so that it can resume, by file name.
    """

    @property
    def config(self) -> RunConfig: ...

    preset: str
    changes: dict[str, Any]
    seed: int
    partial: bool
    files: dict[str, str]

    def model(self, *, new: bool) -> nn.Module:
        """The model, as a new run starts with it, or ready to load a checkpoint into it."""

    def lasting_name(self, name: str) -> str:
        """A weight's name in checkpoints, which does not depend on the versions of libraries."""

    def batches(self, start: int, stop: int, rank: int) -> Generator[Any, None, None]:
        """The batches of steps `start` to `stop` - 1 for one of several devices; each depends only on its step."""

    def losses(
        self, model: nn.Module, batch: Any, device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The terms of the loss, scalars; forward passes go through `model` within `autocast`."""

    def can_measure(self) -> bool:
        """Whether everything that measuring needs is installed; logs what is missing."""

    def measure(
        self, model: nn.Module, state: dict[str, Tensor], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, float]:
        """Measures the model with other weights; returns figures as fractions.

        Raises:
            NoNumbers: with these weights the model computes NaN or infinity.
        """

    def write(self, out: Path, state: dict[str, Tensor], steps: int) -> None:
        """Writes weights after this many steps as a weight file for users."""
