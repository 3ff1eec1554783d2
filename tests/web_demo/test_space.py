"""The page as Hugging Face Spaces starts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is set there, but for the address, which is 0.0.0.0 there.
SETTINGS = {
    "SYSTEM": "spaces",
    "SPACE_ID": "someone/esg",
    "GRADIO_SERVER_NAME": "127.0.0.1",
    "GRADIO_NUM_PORTS": "1",
    "PYTHONUNBUFFERED": "1",
}


def app_file() -> Path:
    """The file that the head of the README names."""
    (name,) = re.findall(r"^app_file: (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    return ROOT / name


@pytest.fixture
def space(free_port: Callable[[], int], cache: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the running app."""
    port = free_port()
    environment = {**os.environ, **SETTINGS, "GRADIO_SERVER_PORT": str(port), "PYTHONPATH": str(tmp_path)}
    # Gradio wraps every function with this package, which is installed there.
    (tmp_path / "spaces.py").write_text("def gradio_auto_wrap(function):\n    return function\n")
    with (tmp_path / "log.txt").open("wb") as log:
        app = subprocess.Popen([sys.executable, app_file()], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            while not _answers(address):
                assert app.poll() is None, (tmp_path / "log.txt").read_text()
                time.sleep(0.2)
            yield address
        finally:
            app.kill()
            app.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status == 200
    except urllib.error.URLError:
        return False


def test_the_space_starts_and_shows_the_page_in_the_frame_of_its_host(space: str) -> None:
    with urllib.request.urlopen(space) as answer:
        assert "frame-ancestors 'self' https://huggingface.co" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] is None
    with urllib.request.urlopen(f"{space}/config") as answer:
        content = json.load(answer)
    assert content["title"] == "ESG"
    props = [component["props"] for component in content["components"]]
    (model,) = (one for one in props if one.get("elem_id") == "model")
    assert model["value"] == "cropformer-nano"


def test_its_folder_is_not_taken_for_the_package_that_gradio_imports_there() -> None:
    assert app_file().parent.name != "spaces"
