"""What all tests share: the root of the project, the shared material beside it, and which tests run on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Weights that happen to be installed on this machine must not change a result, and nothing goes out to the network:
# these are read when huggingface_hub and gradio are imported, so they are set before any test imports them.
_no_weights = tempfile.TemporaryDirectory(prefix="esg-tests-")
os.environ.update(
    HF_HOME=_no_weights.name,
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
)
for name in ("ESG_WEIGHTS", "HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT"):
    os.environ.pop(name, None)


class RootIsNoPackage:
    """Keeps pytest from importing the root's `__init__.py`, which is there for ComfyUI, as a package around the tests.

    It would be imported under the name of the checkout's folder; in a folder called `esg` it would hide the real one.
    """

    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RootIsNoPackage())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_gpu = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
    not_now = pytest.mark.skip(reason="slow: runs with --slow")
    for item in items:
        if "gpu" in item.keywords and not _has_cuda():
            item.add_marker(no_gpu)
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(not_now)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of the project, whatever it is called."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared reference material beside the checkout (`../shared`, or $ESG_SHARED); skips where there is none."""
    folder = Path(os.environ.get("ESG_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared reference material is not at {folder} (ESG_SHARED can name its place)")
    return folder
