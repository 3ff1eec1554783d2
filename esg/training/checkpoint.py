"""A run's checkpoint on disk, from which it can resume after a kill, and the small weight file exported at the end."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..support.errors import WeightsError
from ..support.files import write_atomically
from .devices import share
from .lora import rank_in
from .optimizer import parameter_groups
from .run_folder import BEST, CHECKPOINT

if TYPE_CHECKING:
    from .task import Task

_CONTENT = {"preset": str, "step": int, "scaler": dict, "model": dict, "ema": dict, "optimizers": list}


class WeightAverage:
    """Exponential moving average of a model's weights, with a shorter memory early on so that it forgets the start.

    Weights that are frozen or not floating-point are taken from the model itself; with a decay of 0, all are.

    Attributes:
        own: the averaged weights by name, on the model's device.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        self.own = {
            name: value.detach().clone()
            for name, value in model.state_dict().items()
            if decay > 0 and value.is_floating_point() and name not in fixed
        }

    @property
    def state(self) -> dict[str, Tensor]:
        """The averaged state dict."""
        return {**self._model.state_dict(), **self.own}

    def update(self, step: int) -> None:
        """Adds the weights after `step` steps (from 1) to the average."""
        decay = min(self._decay, (1 + step) / (10 + step))
        latest = self._model.state_dict()
        for name, value in self.own.items():
            value.lerp_(latest[name].detach(), 1 - decay)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores the average from an averaged state dict."""
        for name, value in self.own.items():
            value.copy_(share(state[name], value))


def save_checkpoint(run_dir: Path, state: dict[str, Any]) -> None:
    """Replaces the run's checkpoint atomically: after a kill, either the old or the new one is there."""
    with write_atomically(run_dir / CHECKPOINT) as path:
        torch.save(state, path)


def load_checkpoint(run_dir: Path) -> dict[str, Any] | None:
    """The run's checkpoint, on the CPU; None if there is none yet. Never executes pickle code.

    Raises:
        WeightsError: the file is damaged or is not a checkpoint.
    """
    path = run_dir / CHECKPOINT
    if not os.path.exists(path):
        return None
    try:
        # Memory-mapped: several processes on one machine share the pages that they read.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        # Torch's own message is a page long and explains how to run the pickle code anyway.
        raise WeightsError(f"{path} is damaged or is not a checkpoint; delete it to start the run again.") from error
    if not isinstance(state, dict) or not all(isinstance(state.get(key), kind) for key, kind in _CONTENT.items()):
        raise WeightsError(f"{path} is not a checkpoint of a training run; delete it to start the run again.")
    return state


def resume(
    run_dir: Path,
    task: Task,
    model: nn.Module,
    average: WeightAverage,
    parts: list[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler,
) -> int:
    """Restores everything from the run's checkpoint, if there is one; returns the number of steps done.

    Raises:
        WeightsError: the checkpoint is damaged or does not fit.
    """
    state = load_checkpoint(run_dir)
    if state is None:
        return 0
    if state["preset"] != task.preset:
        raise WeightsError(f"{run_dir} holds a run of {state['preset']}, not of {task.preset}; use another folder.")
    changes = dict(state.get("changes", {}))  # checkpoints of earlier versions do not have it
    if rank := rank_in(state["model"]):
        changes["lora"] = rank
    if others := [name for name in sorted(changes | task.changes) if changes.get(name) != task.changes.get(name)]:
        raise WeightsError(
            f"{run_dir} holds a run of {task.preset} with other model settings ({', '.join(others)}); use another "
            "folder."
        )
    own = model.state_dict()
    weights, averaged = (_named_as(own, state[kind], task, run_dir) for kind in ("model", "ema"))
    model.load_state_dict({name: share(value, own[name]) for name, value in weights.items()})
    try:
        for part, saved in zip(parts, state["optimizers"], strict=True):
            part.load_state_dict(_shared(saved, part))
    except (RuntimeError, ValueError, IndexError):
        raise WeightsError(
            f"The checkpoint in {run_dir} does not fit the optimizer {task.config.optimizer}; use the optimizer of the "
            "run, or another folder."
        ) from None
    groups = [group for part in parts for group in part.param_groups]
    fresh = sorted(parameter_groups(model, task.config), key=lambda group: group["matrices"])
    for group, new in zip(groups, fresh, strict=True):
        group.update({key: new[key] for key in ("weight_decay", "scale")})  # the settings may have changed
    average.load(averaged)
    if state["scaler"]:  # empty if the run used another precision so far
        scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _named_as(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], task: Task, run_dir: Path) -> dict[str, Tensor]:
    """Saved weights under the names of this model's weights; WeightsError if names or shapes do not match."""
    names = {task.lasting_name(name): name for name in own}
    given = {task.lasting_name(name): value for name, value in saved.items()}
    wanted = {name: own[here].shape for name, here in names.items()}
    found = {name: value.shape for name, value in given.items()}
    if wrong := [name for name in wanted | found if wanted.get(name) != found.get(name)]:
        raise WeightsError(
            f"The checkpoint in {run_dir} no longer fits {task.preset}; weights that are missing, unknown or of "
            f"another shape: {len(wrong)}, such as {wrong[0]}; use another folder."
        )
    return {names[name]: value for name, value in given.items()}


def _shared(saved: dict[str, Any], part: torch.optim.Optimizer) -> dict[str, Any]:
    """This device's share of an optimizer's saved state; IndexError if the optimizer has other parameters."""
    parameters = [parameter for group in part.param_groups for parameter in group["params"]]

    def own(value: Any, parameter: Tensor) -> Any:
        if not isinstance(value, Tensor):
            return value
        mine = share(value, parameter) if value.shape == parameter.shape else value
        return mine.clone()  # the optimizer keeps the tensor, which would otherwise be part of the mapped file

    state = {
        index: {name: own(value, parameters[index]) for name, value in slots.items()}
        for index, slots in saved["state"].items()
    }
    return {**saved, "state": state}


def export(run_dir: str | Path, task: Task, out: str | Path) -> Path:
    """Writes the averaged weights of a run as a weight file, see `Task.write`; or the best ones, if they are kept.

    Args:
        run_dir: folder of the run.
        task: the task of the run.
        out: the file to write, `*.safetensors`.

    Raises:
        WeightsError: the run does not have a checkpoint.
        OutputError: `out` cannot be written.
    """
    state = load_checkpoint(Path(run_dir))
    if state is None:
        raise WeightsError(f"{run_dir} does not contain {CHECKPOINT}; train there first.")
    best = Path(run_dir) / BEST
    if task.config.keep_best and os.path.isfile(best):
        with write_atomically(out) as path:
            shutil.copyfile(best, path)
    else:
        task.write(Path(out), state["ema"], state["step"])
    return Path(out)
