"""Photos of noise, and `esg segment`, `esg caption` and `esg ground` with tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import DiffusionInpainting, EntitySegmenter, Grounder


@pytest.fixture
def segment(esg: Callable[..., Any], tiny_model: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs `esg segment` with a tiny model and the output folder `tmp_path / "out"`; gives an `Ended`."""
    options = ["--model", tiny_model, "--out", tmp_path / "out", "--size", 64, "--max-size", 96, "--min-score", 0]

    def run(*arguments: object) -> Any:
        result = esg("segment", *options, "--device", "cpu", *arguments)  # of an option given twice the last one counts
        assert result.out == []
        return result

    return run


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the tiny GELLA write a known caption, in pieces of three letters."""
    from esg.models.gella.inference import GellaInference

    def say(text: str) -> None:
        pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
        monkeypatch.setattr(GellaInference, "describe", lambda *_: iter(pieces))
        monkeypatch.setattr(
            GellaInference, "captions", lambda self, sight, entities, writings, watch: [text] * len(writings)
        )

    return say


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], list[str]]:
    """Lists the files below `tmp_path / "out"`, and empty folders as `name/`."""
    folder = tmp_path / "out"

    def names() -> list[str]:
        paths = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*")]
        files = [name for name, path in paths if path.is_file()]
        return sorted(files + [f"{name}/" for name, path in paths if path.is_dir() and not any(path.iterdir())])

    return names


@pytest.fixture
def make_photo() -> Callable[..., Path]:
    """Writes a photo of noise, `size` = (height, width), to a path, and returns that."""

    def make(path: Path, size: tuple[int, int] = (40, 60)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)).save(path)
        return path

    return make


@pytest.fixture
def photo(make_photo: Callable[..., Path], tmp_path: Path) -> Path:
    """A good photo, `photo.png`."""
    return make_photo(tmp_path / "photo.png")


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong has to be noticed before the model is loaded."""
    for model in (EntitySegmenter, Grounder, DiffusionInpainting):
        monkeypatch.setattr(model, "from_pretrained", lambda *_, **__: pytest.fail("the model was loaded"))
