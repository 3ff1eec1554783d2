"""Repainting with diffusion models: tiny models of the real classes, saved and loaded like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from esg import CropSettings, DiffusionInpainting, EsgError, InputError, WeightsError, cut_for_inpainting, stitch_back
from esg.inpaint.engines import diffusion
from esg.support import attention
from esg.support.errors import OutOfMemory

pytest.importorskip("diffusers", reason="repainting needs diffusers")


@pytest.fixture(scope="module")
def engines(tiny_diffusion: Callable[[int], Path]) -> dict[int, DiffusionInpainting]:
    return {
        channels: DiffusionInpainting.from_pretrained(tiny_diffusion(channels), device="cpu") for channels in (4, 9)
    }


@pytest.fixture(params=[4, 9])
def engine(engines: dict[int, DiffusionInpainting], request: pytest.FixtureRequest) -> DiffusionInpainting:
    """One for inpainting, with 9 channels, or any other."""
    return engines[request.param]


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def hole(rows: slice = slice(8, 24), columns: slice = slice(12, 36)) -> np.ndarray:
    mask = np.zeros((32, 48), np.float32)
    mask[rows, columns] = 1
    return mask


def test_what_suits_the_model(engine: DiffusionInpainting, tiny_diffusion: Callable[[int], Path]) -> None:
    assert (engine.size, engine.multiple) == (64, 8)  # 16 latents of 4 pixels
    assert engine.device == torch.device("cpu")
    assert engine.pipeline.unet.dtype == torch.float32
    assert engine.name in (str(tiny_diffusion(4)), str(tiny_diffusion(9)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_changes_outside_of_the_blend_band(engine: DiffusionInpainting, dtype: type) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    photo = photo if dtype == np.uint8 else (photo / 255).astype(np.float32)
    mask = np.zeros((90, 130), bool)
    mask[30:50, 40:70] = True
    settings = CropSettings(target=engine.size, multiple=engine.multiple, grow=4, feather=2)
    crop = cut_for_inpainting(photo, mask, settings)
    made = engine(crop.picture, crop.generation, "a red hat", steps=2)
    assert made is not None
    assert (made.shape, made.dtype) == (crop.picture.shape, dtype)
    edited = stitch_back(photo, crop.stitch, made)
    outside = crop.stitch.full_mask == 0
    assert outside.any()
    assert np.array_equal(edited[outside], photo[outside])
    assert (edited[mask] != photo[mask]).mean() > 0.9


def test_the_seed_and_the_words_decide(engine: DiffusionInpainting, picture: np.ndarray) -> None:
    def paint(prompt: str = "red", **options: Any) -> np.ndarray:
        made = engine(picture, hole(), prompt, steps=2, **options)
        assert made is not None
        return made

    before = picture.copy()
    first = paint(seed=3)
    torch.manual_seed(99)  # which nothing depends on
    assert np.array_equal(first, paint(seed=3))
    assert np.array_equal(picture, before)
    for other in (
        paint(seed=4),
        paint("a bird", seed=3),
        paint(seed=3, negative="a bird"),
        paint(seed=3, guidance=2.0),
        paint(seed=3, strength=0.5),
    ):
        assert not np.array_equal(first, other)


def test_of_the_photo_a_part_is_kept_the_more_the_weaker(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray
) -> None:
    """A weak change is near what the autoencoder makes of the picture by itself."""
    everywhere = np.ones((32, 48), np.float32)

    def paint(mask: np.ndarray, strength: float) -> np.ndarray:
        made = engines[4](picture, mask, "red", steps=20, strength=strength, guidance=1)
        assert made is not None
        return made.astype(float)

    kept = paint(hole(slice(0, 4), slice(0, 4)), 0.05)[:, 24:]
    weak, strong = (np.abs(paint(everywhere, strength)[:, 24:] - kept).mean() for strength in (0.05, 1.0))
    assert weak < strong / 2


@pytest.mark.parametrize("one", [(9, 13), (11, 15)])
def test_a_mask_that_touches_a_cell_of_the_latents_takes_it_all(
    engine: DiffusionInpainting, picture: np.ndarray, one: tuple[int, int]
) -> None:
    pixel = hole(slice(one[0], one[0] + 1), slice(one[1], one[1] + 1))
    cell = hole(slice(8, 12), slice(12, 16))
    made, expected = (engine(picture, mask, "red", steps=1) for mask in (pixel, cell))
    assert np.array_equal(made, expected)
    assert not np.array_equal(made, engine(picture, hole(slice(4, 8), slice(12, 16)), "red", steps=1))


def test_an_empty_mask_changes_nothing(engine: DiffusionInpainting, picture: np.ndarray) -> None:
    made = engine(picture, np.zeros((32, 48), bool), "red")
    assert np.array_equal(made, picture)
    assert not np.may_share_memory(made, picture)


def test_every_step_is_reported(engine: DiffusionInpainting, picture: np.ndarray) -> None:
    said: list[tuple[int, int, str]] = []
    engine(picture, hole(), "red", steps=3, progress=lambda *what: said.append(what))
    assert said == [(1, 3, "steps"), (2, 3, "steps"), (3, 3, "steps")]
    said.clear()
    engine(picture, hole(), "red", steps=4, strength=0.5, progress=lambda *what: said.append(what))
    assert said == [(1, 2, "steps"), (2, 2, "steps")]


def test_it_stops_when_asked_to_and_works_again(engine: DiffusionInpainting, picture: np.ndarray) -> None:
    before = engine(picture, hole(), "red", steps=2)
    said: list[int] = []
    answers = iter([False, True])
    stopped = engine(
        picture, hole(), "red", steps=5, progress=lambda done, *_: said.append(done), stop=lambda: next(answers)
    )
    assert stopped is None
    assert said == [1, 2]
    assert np.array_equal(engine(picture, hole(), "red", steps=2), before)


def test_moving_and_half_precision(tiny_diffusion: Callable[[int], Path], picture: np.ndarray) -> None:
    engine = DiffusionInpainting.from_pretrained(tiny_diffusion(9), device="cpu", precision="bf16")
    assert {engine.pipeline.unet.dtype, engine.pipeline.text_encoder.dtype} == {torch.bfloat16}
    assert engine.to("cpu") is engine
    made = engine(picture, hole(), "red", steps=1)
    assert made is not None
    assert made.dtype == np.uint8


@pytest.mark.gpu
def test_on_a_gpu(tiny_diffusion: Callable[[int], Path], picture: np.ndarray) -> None:
    engine = DiffusionInpainting.from_pretrained(tiny_diffusion(9), device="cuda")
    assert engine.pipeline.unet.dtype == torch.float16
    first, second = (engine(picture, hole(), "red", steps=2) for _ in range(2))
    assert np.array_equal(first, second)
    assert engine.to("cpu").device.type == "cpu"


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "from 1 to 1000, not 0"),
        ({"steps": 1001}, "not 1001"),
        ({"steps": None}, "The number of steps must be a whole number from 1 to 1000, not None"),
        ({"steps": 2.5}, "not 2.5"),
        ({"strength": None}, "up to 1, not None"),
        ({"guidance": None}, "from 0 to 100, not None"),
        ({"seed": None}, "The seed must be a whole number from 0 to 18446744073709551615, not None"),
        ({"seed": 1.5}, "not 1.5"),
        ({"prompt": None}, "must be a text"),
        ({"negative": ["a"]}, "must be a text"),
        ({"strength": 0.0}, "above 0 and up to 1"),
        ({"strength": 1.01}, "up to 1, not 1.01"),
        ({"strength": float("nan")}, "not nan"),
        ({"steps": 9, "strength": 0.1}, "none of the 9 steps is left"),
        ({"guidance": -1.0}, "from 0 to 100"),
        ({"guidance": float("nan")}, "not nan"),
        ({"guidance": float("inf")}, "not inf"),
        ({"seed": -1}, "not -1"),
        ({"seed": 2**64}, "The seed must be"),
        ({"prompt": "\udcff"}, "not valid text"),
        ({"negative": "a\ud800"}, "not valid text"),
        ({"picture": np.zeros((32, 48), np.uint8)}, r"\(32, 48\) uint8"),
        ({"picture": np.zeros((32, 48, 3))}, "float64"),
        ({"picture": np.zeros((0, 48, 3), np.uint8), "generation": np.zeros((0, 48))}, "48x0"),
        ({"generation": np.zeros((48, 32))}, r"\(48, 32\) float64"),
        ({"generation": np.zeros((32, 48), np.uint8)}, "uint8"),
        ({"picture": np.zeros((32, 44, 3), np.uint8), "generation": np.ones((32, 44))}, r"44x32.*multiple=8"),
    ],
)
def test_wrong_arguments(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        engines[9](**{"picture": picture, "generation": hole(), "prompt": "red"} | options)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nan_pixels_are_refused(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, dtype: type
) -> None:
    vae = engines[9].pipeline.vae
    decode = vae.decode
    monkeypatch.setattr(vae, "decode", lambda *given, **options: (decode(*given, **options)[0] * torch.nan,))
    with pytest.raises(InputError, match=r"NaN or infinite.*fp32"):
        engines[9]((picture / 255).astype(dtype), hole(), "red", steps=1)


def test_what_the_models_own_checker_refuses(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines[9].pipeline, "run_safety_checker", lambda image, *_: (torch.zeros_like(image), [True]))
    with pytest.raises(EsgError, match="safety checker"):
        engines[9](picture, hole(), "red", steps=1)


def test_too_little_memory(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(engines[9].pipeline.unet, "forward", fail)
    with pytest.raises(OutOfMemory, match=r"tiny-9 needs more memory than cpu has free; .*smaller"):
        engines[9](picture, hole(), "red", steps=1)


def test_a_bug_is_not_reported_as_out_of_memory(
    engines: dict[int, DiffusionInpainting], picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines[9].pipeline.unet, "forward", lambda *_, **__: torch.zeros(1) @ torch.zeros(2))
    with pytest.raises(RuntimeError):
        engines[9](picture, hole(), "red", steps=1)


def test_pipelines_that_cannot_be_led() -> None:
    class Upscaler:
        def __call__(self, prompt: str, image: Any) -> SimpleNamespace: ...

    with pytest.raises(WeightsError, match="an-upscaler is a Upscaler"):
        DiffusionInpainting(Upscaler(), "an-upscaler")


class Pipeline:
    """Stands for a pipeline on a GPU, which this machine may not have."""

    vae_scale_factor = 8
    unet = SimpleNamespace(config=SimpleNamespace(sample_size=64))
    refuses = False

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.asked: list[str] = []

    def __call__(
        self, image: Any, mask_image: Any, strength: float, generator: Any, callback_on_step_end: Any
    ) -> None: ...

    def set_progress_bar_config(self, disable: bool) -> None: ...

    def to(self, device: torch.device) -> None:
        self.device = device

    def enable_xformers_memory_efficient_attention(self) -> None:
        if self.refuses:
            raise ValueError("no GPU")
        self.asked.append("on")

    def disable_xformers_memory_efficient_attention(self) -> None:
        self.asked.append("off")


def test_xformers_follows_the_pipeline_from_device_to_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "has_xformers", lambda: True)
    monkeypatch.setattr(diffusion, "choose_device", torch.device)
    monkeypatch.setattr(diffusion, "release_memory", lambda device: None)
    for backend, asked in {"auto": ["on", "off", "on"], "xformers": ["on"], "sdpa": [], "eager": []}.items():
        pipeline = Pipeline()
        engine = DiffusionInpainting(pipeline, attention=backend)
        for device in ("cuda", "cuda:1", "cpu", "cuda"):
            engine.to(device)
        assert pipeline.asked == asked, backend
    with pytest.raises(InputError, match="Unknown attention backend 'flash'"):
        DiffusionInpainting(Pipeline(), attention="flash")


def test_a_pipeline_that_refuses_xformers_keeps_its_own_attention(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline()
    pipeline.refuses = True
    DiffusionInpainting(pipeline, attention="xformers").to("cpu")
    assert pipeline.asked == []
    assert "Pipeline does not take xformers (no GPU) and keeps its own attention." in caplog.text
