"""The mean of weight files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scripts import load_script


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("tools/average_weights.py")


def file(path: Path, value: float, size: int = 2) -> Path:
    save_file({"a": torch.full((size,), value, dtype=torch.float16)}, path, {"preset": path.stem})
    return path


def test_the_mean_has_the_type_and_the_metadata_of_the_first_file(tool: ModuleType, tmp_path: Path) -> None:
    files = [file(tmp_path / "one.safetensors", 1), file(tmp_path / "two.safetensors", 4)]
    tool.average(files, tmp_path / "mean.safetensors")
    tool.average(files, tmp_path / "more.safetensors", [1, 2])
    with safe_open(tmp_path / "mean.safetensors", "pt") as mean, safe_open(tmp_path / "more.safetensors", "pt") as more:
        assert mean.get_tensor("a").tolist() == [2.5, 2.5]
        assert more.get_tensor("a").tolist() == [3, 3]
        assert (mean.get_tensor("a").dtype, mean.metadata()) == (torch.float16, {"preset": "one"})


def test_other_tensors_are_refused(tool: ModuleType, tmp_path: Path) -> None:
    files = [file(tmp_path / "one.safetensors", 1), file(tmp_path / "two.safetensors", 4, size=3)]
    with pytest.raises(ValueError, match="does not have the same tensors"):
        tool.average(files, tmp_path / "mean.safetensors")
