"""Shared by all tests: the root of the project, the shared material beside it, and the choice of tests to run here."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

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
# Tiny models gain nothing from threads, and on a busy machine threads that wait for each other take many times as long.
# Read when torch is imported; it also holds for the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("ESG_WEIGHTS", "HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT"):
    os.environ.pop(name, None)

# Python looks for cyclic garbage among all objects again and again while new ones are made.
# Libraries such as PyTorch leave a million objects that are never garbage.
gc.set_threshold(100_000)

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
        if item.get_closest_marker("gpu") and not _has_cuda():
            item.add_marker(no_gpu)
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(not_now)


def pytest_collection_finish() -> None:
    gc.freeze()


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


@pytest.fixture(scope="session")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """A script of `docs/` by its name, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module


@pytest.fixture(scope="session")
def pack(script: Callable[[str], ModuleType]) -> ModuleType:
    """The root of the repository as a module under its path, as ComfyUI imports it."""
    return script("node_pack").load_pack()


@pytest.fixture(scope="session")
def nodes(pack: ModuleType) -> Callable[[str], Any]:
    """A new node by its id without ESG."""
    return lambda name: pack.NODE_CLASS_MAPPINGS[f"ESG{name}"]()


@pytest.fixture
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME of the test's own, and no $ESG_WEIGHTS."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.delenv("ESG_WEIGHTS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PIL picture to `picture.png` or with another suffix, with options of its writer, and gives the path."""

    def save(picture: Any, suffix: str = ".png", **options: Any) -> Path:
        path = tmp_path / f"picture{suffix}"
        picture.save(path, **options)
        return path

    return save


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file of a CropFormer that is small enough for tests, with random weights that are always the same."""
    import torch
    from safetensors.torch import save_file

    from esg.models.cropformer.config import CropFormerConfig
    from esg.models.cropformer.model import CropFormer
    from esg.models.layers.swin import SwinConfig

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


@pytest.fixture(scope="session")
def small_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny segmenter, which looks at photos in the small size of cropformer-nano: `small.safetensors`."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(tiny_model, "pt") as file:
        metadata = {**file.metadata(), "preset": "cropformer-nano"}
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(load_file(tiny_model), path, metadata)
    return path


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> str:
    """The name of a preset of the size of the tiny model."""
    from safetensors import safe_open

    from esg.models.cropformer.config import PRESETS, CropFormerConfig, Preset

    with safe_open(tiny_model, "pt") as file:
        config = CropFormerConfig.from_json(file.metadata()["config"])
    monkeypatch.setitem(PRESETS, "cropformer-test", Preset(config, size=64, max_size=96))
    return "cropformer-test"


@pytest.fixture(scope="session")
def tiny_gella(speaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file of a GELLA that is small enough for tests, with random weights that are always the same."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from esg.models.gella.checkpoint import write_gella
    from esg.models.gella.model import Gella

    config, tokenizer = speaker
    path = tmp_path_factory.mktemp("weights") / "tiny-gella.safetensors"
    write_gella(path, Gella(config).state_dict(), config, tokenizer, preset="tiny-gella", steps=0)
    # Libraries begin with other numbers in other versions; these are drawn by the names of the file, which stay.
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    for name, values in state.items():
        if values.ndim > 1 or name.endswith("embedding"):
            drawn = torch.randn(values.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
            state[name] = (drawn / values[0].numel() ** 0.5).half()
        elif name.endswith("bias"):
            values.zero_()
    save_file(state, path, metadata)
    return path


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Makes the folder of a Stable Diffusion that is small enough for tests, with random weights that are always the
    same: with 9 channels it is one for inpainting, with 4 any other. Its pictures are 64 pixels wide."""
    pytest.importorskip("diffusers", reason="models that repaint need diffusers")
    made: dict[int, Path] = {}

    def make(channels: int) -> Path:
        if channels not in made:
            made[channels] = tmp_path_factory.mktemp("diffusion") / f"tiny-{channels}"
            _write_diffusion(made[channels], channels)
        return made[channels]

    return make


def _write_diffusion(folder: Path, channels: int) -> None:
    import json

    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = folder.parent / f"words-{channels}"
    words.mkdir()
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"{letter}</w>" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = [*letters, "re", "red</w>", "<|startoftext|>", "<|endoftext|>"]
    (words / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
    (words / "merges.txt").write_text("#version: 0.2\nr e\nre d</w>\n")
    text = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=len(vocabulary) - 2,
        eos_token_id=len(vocabulary) - 1,
        pad_token_id=len(vocabulary) - 1,
    )
    kind = diffusers.StableDiffusionInpaintPipeline if channels == 9 else diffusers.StableDiffusionPipeline
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = kind(
            unet=diffusers.UNet2DConditionModel(
                block_out_channels=(32, 64),
                layers_per_block=1,
                sample_size=16,
                in_channels=channels,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=32,
                attention_head_dim=8,
                norm_num_groups=8,
            ),
            vae=diffusers.AutoencoderKL(
                block_out_channels=(16, 16, 16),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                latent_channels=4,
                norm_num_groups=8,
            ),
            text_encoder=CLIPTextModel(text),
            tokenizer=CLIPTokenizer.from_pretrained(words, model_max_length=77),
            scheduler=diffusers.DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)


CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera that shows moving colours


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, in the hands of playwright; skips where one of them is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright")
    executable = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")
    if executable is None:
        pytest.skip("tests of pages need the browser chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Ended:
    """How a run of the command line ended: its exit status, and the lines on stdout and stderr."""

    status: object
    out: list[str]
    err: list[str]

    def refused(self, *words: str) -> None:
        """Nothing on stdout, one line on stderr with these words in this order, and exit status 2."""
        assert (self.status, self.out) == (2, [])
        (line,) = self.err
        place = 0
        for word in words:
            assert word in line[place:]
            place = line.index(word, place)


@pytest.fixture
def esg(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs the command line."""
    from esg.cli.main import main

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        try:
            status: object = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return Ended(status, out.splitlines(), err.splitlines())

    return run


@pytest.fixture(scope="session")
def speaker() -> Any:
    """Configuration and tokenizer of a GELLA that is small enough for tests and can write any text."""
    from esg.language import captions as prompts
    from esg.models.gella.config import DecoderConfig, GellaConfig, LanguageConfig, VisionConfig
    from esg.models.gella.tokenizer import train_tokenizer

    config = GellaConfig(
        vision=VisionConfig(width=32, ffn=48, layers=2, heads=2, side=16, patch=4),
        language=LanguageConfig(
            vocabulary=300, width=32, ffn=40, layers=2, heads=2, context=1500, image_token=3, pad_token=0, seg_token=4
        ),
        decoder=DecoderConfig(
            width=32, heads=2, queries=6, layers=1, ffn=32, encoder_layers=1, encoder_ffn=32, points=1, anchors=4
        ),
        encoder_scale=0.1,
        colormap_side=64,
        association=16,
    )
    return config, train_tokenizer([prompts.DESCRIBE, prompts.extract("A red disc.")], config.language)
