"""The scripts in `docs/examples/` run as they are, offline, with the shipped weights.

One of them runs in a process of its own; the others share this one, which has imported PyTorch and transformers.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT / "web_demo/examples"


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a script with arguments, and gives what it prints."""

    def run(script: str, *arguments: str | Path) -> str:
        path = str(ROOT / "docs/examples" / script)
        monkeypatch.setattr("sys.argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_folder_is_segmented_and_other_files_are_skipped(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(PHOTOS / "chelsea.jpg", photos)
    (photos / "notes.txt").write_text("not a photo", encoding="utf-8")
    command = [sys.executable, "-X", "importtime", ROOT / "docs/examples/segment_folder.py", photos, tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == 2
    assert "notes.txt" in lines[1]
    entities = json.loads((tmp_path / "out/chelsea.json").read_text(encoding="utf-8"))["annotations"]
    assert lines[0].startswith(f"chelsea.jpg: {len(entities)} entities")
    with Image.open(PHOTOS / "chelsea.jpg") as photo, Image.open(tmp_path / "out/chelsea.overlay.png") as overlay:
        assert overlay.size == photo.size
    imported = {line.split("|")[-1].strip() for line in process.stderr.splitlines() if line.startswith("import time:")}
    assert "torch" in imported
    assert not {"torch._dynamo", "transformers"} & imported  # each takes longer than to load the model


def test_masks_of_another_program_are_grounded(run: Run, tmp_path: Path) -> None:
    with Image.open(PHOTOS / "chelsea.jpg") as photo:
        width, height = photo.size
    labels = np.ones((height, width), np.uint8)
    labels[:, width // 3 : width // 3 * 2] = 2
    Image.fromarray(labels).save(tmp_path / "masks.png")
    (line,) = run("ground_other_masks.py", PHOTOS / "chelsea.jpg", tmp_path / "masks.png", "the cat").splitlines()
    assert line.startswith("the cat: ")
    assert "entity" in line


def test_an_object_is_removed_and_the_rest_stays(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="removing needs OpenCV", exc_type=ImportError)
    line = run("remove_object.py", PHOTOS / "rocket.jpg", "the sky", tmp_path / "clean.png")
    assert line.startswith("the sky: entity ")
    with Image.open(PHOTOS / "rocket.jpg") as photo, Image.open(tmp_path / "clean.png") as clean:
        same = (np.asarray(photo.convert("RGB")) == np.asarray(clean.convert("RGB"))).all(axis=2)
    assert same.any()
    assert not same.all()


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("cv2", reason="removing needs OpenCV", exc_type=ImportError)
    monkeypatch.chdir(ROOT)
    notebook = json.loads((ROOT / "docs/examples/tour.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # pictures would stay in every clone for ever
            exec("".join(cell["source"]), names)  # noqa: S102
    assert "annotations" in capsys.readouterr().out


@pytest.mark.slow
def test_a_small_model_is_trained_and_can_be_used(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="training needs the extra `train`")
    photos = tmp_path / "photos/images"
    photos.mkdir(parents=True)
    shutil.copy(PHOTOS / "chelsea.jpg", photos)
    with Image.open(PHOTOS / "chelsea.jpg") as photo:
        width, height = photo.size
    labels = np.zeros((height, width), np.int32)
    labels[20:200, 30:300] = 1
    content = EntityMap.from_labels(labels).to_coco(file_name="chelsea.jpg")
    (tmp_path / "photos/instances.json").write_text(json.dumps(content), encoding="utf-8")
    out = run("train_small.py", tmp_path / "photos", tmp_path / "run", "1")
    assert (tmp_path / "run/mine.safetensors").is_file()
    assert "Done." in out
