"""A training that diverges: how it is noticed, and what people are told. Nothing of it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import EsgError
from .run_folder import CHECKPOINT


def are_finite(state: Mapping[str, Tensor]) -> bool:
    """Whether all weights are numbers."""
    return all(bool(value.isfinite().all()) for value in state.values())


def diverged(run_dir: Path, step: int) -> EsgError:
    """The error that ends a run in its step `step` (from 1)."""
    advice = "with a lower learning rate or in fp32"
    if os.path.exists(run_dir / CHECKPOINT):
        way_on = f"the last good state is in {run_dir / CHECKPOINT}: go on {advice}."
    else:
        way_on = f"nothing of it is kept: begin again {advice}."
    return EsgError(f"The training diverged at step {step}; {way_on}")
