"""What all tests share: the root of the project, the shared material beside it, and which tests run on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
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

hypothesis.settings.register_profile("esg", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("esg")


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


@pytest.fixture
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME of the test's own, and no $ESG_WEIGHTS."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.delenv("ESG_WEIGHTS", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file of a CropFormer that is small enough for tests, with random weights that are always the same."""
    import torch
    from safetensors.torch import save_file

    from esg.cropformer.config import CropFormerConfig
    from esg.cropformer.model import CropFormer
    from esg.modeling.swin import SwinConfig

    config = CropFormerConfig(
        SwinConfig(width=16, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), window=4),
        queries=10,
        width=32,
        heads=2,
        decoder_layers=2,
        decoder_ffn=32,
        encoder_layers=1,
        encoder_ffn=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CropFormer(config)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, path, {"config": config.to_json()}
    )
    return path


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> str:
    """The name of a preset of the size of the tiny model."""
    from safetensors import safe_open

    from esg.cropformer.config import PRESETS, CropFormerConfig, Preset

    with safe_open(tiny_model, "pt") as file:
        config = CropFormerConfig.from_json(file.metadata()["config"])
    monkeypatch.setitem(PRESETS, "cropformer-test", Preset(config, size=64, max_size=96))
    return "cropformer-test"
