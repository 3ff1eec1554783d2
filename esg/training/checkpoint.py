"""What a run keeps on disk so that it can go on after a kill, and the small weight file that it ends in."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import WeightsError
from ..files import write_atomically

if TYPE_CHECKING:
    from .loop import Task

CHECKPOINT = "checkpoint.pt"
_CONTENT = {"preset": str, "step": int, "scaler": dict, "model": dict, "ema": dict, "optimizers": list}


class WeightAverage:
    """Exponential moving average of a model's weights; early on it is shorter, so that it leaves the start behind.

    Attributes:
        state: the averaged state dict, on the model's device; what is no float is the model's latest.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` steps (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value.detach(), 1 - decay)
            else:
                self.state[name].copy_(value)


def save_checkpoint(run_dir: Path, state: dict[str, Any]) -> None:
    """Replaces the run's checkpoint in one step: a kill leaves the old one or the new one."""
    with write_atomically(run_dir / CHECKPOINT) as path:
        torch.save(state, path)


def load_checkpoint(run_dir: Path) -> dict[str, Any] | None:
    """The run's checkpoint on the CPU, or None if there is none yet. Executes no pickle code.

    Raises:
        WeightsError: the file is damaged or something else.
    """
    path = run_dir / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        # Torch's own message fills a page with how to run the pickle code all the same.
        raise WeightsError(f"{path} is no readable checkpoint; delete it to start the run anew.") from error
    if not isinstance(state, dict) or not all(isinstance(state.get(key), kind) for key, kind in _CONTENT.items()):
        raise WeightsError(f"{path} is no checkpoint of a training run; delete it to start the run anew.")
    return state


def export(run_dir: str | Path, task: Task, out: str | Path) -> Path:
    """Writes the averaged weights of a run for users, see `Task.write`.

    Args:
        run_dir: folder of the run.
        task: what was trained there.
        out: the file to write, `*.safetensors`.

    Raises:
        WeightsError: the run has no checkpoint.
        OutputError: `out` cannot be written.
    """
    state = load_checkpoint(Path(run_dir))
    if state is None:
        raise WeightsError(f"{run_dir} holds no {CHECKPOINT}; train there first.")
    task.write(Path(out), state["ema"], state["step"])
    return Path(out)
