"""Detects that a training run diverges, and says how to continue; weights of diverged steps are never saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..support.errors import EsgError
from .run_folder import CHECKPOINT


def are_finite(state: Mapping[str, Tensor]) -> bool:
    """Whether all weights are finite."""
    return all(bool(value.isfinite().all()) for value in state.values())


def diverged(run_dir: Path, step: int) -> EsgError:
    """The error that ends a run which diverged at `step` (from 1)."""
    advice = "with a lower learning rate or in fp32"
    if os.path.exists(run_dir / CHECKPOINT):
        way_on = f"the last good state is in {run_dir / CHECKPOINT}: resume from it {advice}."
    else:
        way_on = f"there is no checkpoint yet: start again {advice}."
    return EsgError(f"The training diverged at step {step}; {way_on}")
