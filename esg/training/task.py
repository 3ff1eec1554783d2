"""The interface between the training loop and what is trained."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .config import RunConfig


class Task(Protocol):
    """What is trained: the model, what it learns from, and what it has to do.

    Attributes:
        config: settings of the run, a dataclass that can be written as JSON.
        preset: name of the architecture.
        changes: what of it is not as in the preset, names and values.
        seed: of the run.
        partial: whether a step may leave out parts of the model.
        files: texts that the run keeps in its folder to be able to go on, by the names of their files.
    """

    @property
    def config(self) -> RunConfig: ...

    preset: str
    changes: dict[str, Any]
    seed: int
    partial: bool
    files: dict[str, str]

    def model(self, *, new: bool) -> nn.Module:
        """The model as a new run starts with it, or for a checkpoint that will be loaded into it."""

    def lasting_name(self, name: str) -> str:
        """A weight's name, or that which it has whatever the version of a library that named it."""

    def batches(self, start: int, stop: int, rank: int) -> Generator[Any, None, None]:
        """The batches of steps `start` to `stop` - 1 for one of several devices; each is a function of its step."""

    def losses(
        self, model: nn.Module, batch: Any, device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The terms of the loss, scalars; forward passes go through `model` within `autocast`."""

    def can_measure(self) -> bool:
        """Whether there is all that measuring needs; says in the log what is missing."""

    def measure(
        self, model: nn.Module, state: dict[str, Tensor], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, float]:
        """Figures of merit (fractions) of the model with other weights.

        Raises:
            NoNumbers: with these weights the model computes none.
        """

    def write(self, out: Path, state: dict[str, Tensor], steps: int) -> None:
        """Writes weights after so many steps to a file for users."""
