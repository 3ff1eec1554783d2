"""A training run: what changes from step to step, and how it is trained, measured and saved."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..models.layers.attention import set_attention
from ..support.device import computing_in
from ..support.errors import InputError, NoNumbers
from .checkpoint import WeightAverage, resume, save_checkpoint
from .config import training_device, training_dtype
from .devices import is_sharded, join, mean_over_devices, shard, whole
from .divergence import are_finite, diverged
from .optimizer import optimizers
from .run_folder import CHECKPOINT
from .schedule import learning_rate
from .task import Task

log = logging.getLogger(__name__)

_MOST_SKIPPED = 20


class TrainingRun:
    """The model of a run, its optimizers and its averaged weights, on the device of this process.

    Args:
        task: the model to train, and the settings of the run.
        folder: folder of the run; if it has a checkpoint, the run resumes from it.

    Attributes:
        start: number of steps that were done before.
        rank: number of this process among those that train together; the first one, 0, writes the files.
        sharded: whether the model is spread over the devices.
        average: the averaged weights.

    Raises:
        InputError: device or precision are not available, or do not go with the other settings.
        WeightsError: `init` or the checkpoint does not fit the preset.
    """

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder, self.config = task, folder, task.config
        accelerator = join(task.partial)
        self.sharded = is_sharded(accelerator)
        self.rank: int = accelerator.process_index if accelerator else 0
        self._device: torch.device = accelerator.device if accelerator else training_device(self.config)
        dtype = training_dtype(self.config, self._device)
        if self.sharded and (dtype == torch.float16 or self.config.optimizer != "adamw"):
            raise InputError("A sharded model can only be trained with adamw, in bf16 or fp32; change these settings.")
        self._autocast = computing_in(dtype, self._device)
        torch.manual_seed(task.seed)
        self._model = task.model(new=not os.path.exists(folder / CHECKPOINT)).train()
        set_attention(self._model, self.config.attention)
        if not self.sharded:
            self._model.to(self._device)
        self._optimizers = optimizers(self._model, self.config)
        if accelerator and self.sharded:
            self._optimizers = shard(accelerator, self._model, self._optimizers)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=dtype == torch.float16)
        self.average = WeightAverage(self._model, self.config.ema)
        self.start = resume(folder, task, self._model, self.average, self._optimizers, self._scaler)
        parallel = accelerator is not None and not self.sharded
        self._forward = accelerator.prepare_model(self._model) if accelerator and parallel else self._model
        self._skipped = 0  # steps in a row

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """Trains on the batch of `step` (from 0); a step whose gradient is not finite changes nothing.

        Returns:
            The loss, its terms, and the norm of the gradient.

        Raises:
            EsgError: too many steps in a row changed nothing.
        """
        # The random state depends only on the step, so that a resumed run equals an uninterrupted one.
        torch.manual_seed(_mixed(self.task.seed, step, self.rank))
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(step, self.config) * group["scale"]
        terms = self.task.losses(self._forward, batch, self._device, self._autocast)
        loss = torch.stack([*terms.values()]).sum()
        self._scaler.scale(loss).backward()
        norm = self._update(step + 1)
        self._model.zero_grad(set_to_none=True)
        return {"loss": loss.item(), **{name: round(term.item(), 5) for name, term in terms.items()}, "grad_norm": norm}

    def _update(self, step: int) -> float:
        """Changes the weights by the gradient of `step` (from 1); returns its norm."""
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        norm = float(whole(nn.utils.clip_grad_norm_(self._model.parameters(), self.config.clip)))
        if math.isfinite(norm):
            for optimizer in self._optimizers:
                self._scaler.step(optimizer)
            self.average.update(step)
            self._skipped = 0
        else:
            self._skipped += 1
            log.warning("Step %d is skipped, because its gradient is not finite.", step)
            if self._skipped > _MOST_SKIPPED:
                raise diverged(self.folder, step)
        self._scaler.update()
        return norm

    def measure(self, step: int) -> dict[str, float]:
        """The figures of the averaged weights after `step` steps; EsgError if the run has diverged."""
        try:
            figures = self.task.measure(self._model, self.average.state, self._device, self._autocast)
        except NoNumbers as error:
            raise diverged(self.folder, step) from error
        return {"step": step, **figures}

    def save(self, step: int) -> None:
        """Saves the checkpoint after `step` steps; every process must call it. EsgError if the run has diverged."""
        weights, averaged = whole(self._model.state_dict()), whole(self.average.own)
        if not (are_finite(weights) and are_finite(averaged)):
            raise diverged(self.folder, step)
        state = {"model": weights, "ema": weights | averaged, "scaler": self._scaler.state_dict()}
        state["optimizers"] = [whole(optimizer.state_dict()) for optimizer in self._optimizers]
        if self.rank == 0:
            about = {"preset": self.task.preset, "changes": self.task.changes, "step": step}
            save_checkpoint(self.folder, {**about, **state})

    def agree(self, *flags: bool) -> list[bool]:
        """Each flag, or True if it is set in any of the processes that train together."""
        values = torch.tensor(flags, dtype=torch.float32, device=self._device)
        return (mean_over_devices(values) > 0).tolist()


def _mixed(*numbers: int) -> int:
    """Combines several numbers of any size into one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
