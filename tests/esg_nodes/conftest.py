"""Parts of the pack, and small models and values for its nodes."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def part(pack: ModuleType) -> Callable[[str], Any]:
    """A module of the pack by its name: `part("values")`."""
    return lambda name: importlib.import_module(f"{pack.__name__}.esg_nodes.{name}")


@pytest.fixture(scope="session")
def core(pack: ModuleType) -> Any:
    """The core that belongs to the pack, whose classes are others than those of `import esg`."""
    return importlib.import_module(f"{pack.__name__}.esg")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_model: Path, tiny_gella: Path) -> Path:
    """A working folder with a small segmenter and a small grounder in `models/entityseg`."""
    folder = tmp_path / "models/entityseg"
    (folder / "own").mkdir(parents=True)
    shutil.copy(small_model, folder / "own/tiny.safetensors")
    shutil.copy(tiny_gella, folder / "words.safetensors")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def segmenter(nodes: Callable[[str], Any], home: Path) -> Any:
    return nodes("LoadSegmenter").load("own/tiny.safetensors", "fp32", "cpu", "auto", False)[0]


@pytest.fixture
def grounder(nodes: Callable[[str], Any], home: Path) -> Any:
    return nodes("LoadGrounder").load("words.safetensors", "fp32", "cpu")[0]


@pytest.fixture
def image() -> torch.Tensor:
    """IMAGE of two pictures, 40x60 pixels, whose quarters have different colours."""
    pixels = np.zeros((2, 40, 60, 3), np.float32)
    pixels[:, :20, :30, 0] = pixels[:, 20:, 30:, 1] = pixels[:, 20:, :30, 2] = 1
    pixels[1] = 1 - pixels[1]
    return torch.from_numpy(pixels)


@pytest.fixture
def entities(part: Callable[[str], Any], core: Any) -> Any:
    """ESG_ENTITIES of the two pictures: four quarters, and nothing at all."""
    labels = np.zeros((40, 60), np.int32)
    labels[:20, :30], labels[:20, 30:], labels[20:, :30], labels[20:, 30:] = 1, 2, 3, 4
    four = core.EntityMap.from_labels(labels, [0.7, 0.6, 0.5, 0.4])
    return part("values").Entities.of([four, core.EntityMap.from_labels(np.zeros((40, 60), np.int32))])
