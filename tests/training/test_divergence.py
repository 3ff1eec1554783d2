"""The message about a training run that diverged, and its detection from the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esg.training.divergence import are_finite, diverged
from esg.training.run_folder import CHECKPOINT


@pytest.mark.parametrize(("value", "finite"), [(1e38, True), (float("inf"), False), (float("nan"), False)])
def test_weights_are_numbers(value: float, finite: bool) -> None:
    state = {"a": torch.ones(2), "b": torch.tensor([0.0, value]), "steps": torch.tensor(3)}
    assert are_finite(state) is finite
    assert are_finite({})


def test_the_advice_depends_on_whether_there_is_a_checkpoint(tmp_path: Path) -> None:
    assert str(diverged(tmp_path, 7)) == (
        "The training diverged at step 7; there is no checkpoint yet: start again with a lower learning rate or in "
        "fp32."
    )
    (tmp_path / CHECKPOINT).touch()
    assert str(diverged(tmp_path, 7)) == (
        f"The training diverged at step 7; the last good state is in {tmp_path / CHECKPOINT}: resume from it with a "
        "lower learning rate or in fp32."
    )
