"""Repaints with a diffusion model: any that diffusers' AutoPipelineForInpainting supports."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...support.attention import chosen
from ...support.checks import is_number, is_whole, type_name
from ...support.device import choose_device, choose_dtype, release_memory
from ...support.errors import EsgError, InputError, OutOfMemory, WeightsError
from ...support.memory import enough_memory
from ...support.progress import Progress, Stage
from .hub import place_of
from .pipelines import quiet_libraries, read_pipeline

log = logging.getLogger(__name__)

MAX_STEPS = 1000  # as many as models are trained with
_NEEDED = {"image", "mask_image", "strength", "generator", "callback_on_step_end"}
_PIXELS = 8  # pipelines require sides that are multiples of this, however small the model


class DiffusionInpainting:
    """A diffusion model that is ready to repaint the masked part of a picture according to a prompt.

    Attributes:
        pipeline: the diffusers pipeline.
        name: the name or path it was loaded from.
        size: side in pixels of the pictures it was trained on; the best `CropSettings.target`.
        multiple: sides must be multiples of this many pixels, see `CropSettings.multiple`.
    """

    def __init__(self, pipeline: Any, name: str = "", *, attention: str = "auto") -> None:
        """Wraps an inpainting pipeline; `from_pretrained` also loads its weights.

        Args:
            pipeline: the diffusers pipeline.
            name: its name in messages.
            attention: as for `from_pretrained`.

        Raises:
            InputError: the name of the attention is unknown.
            WeightsError: it needs inputs other than those that ESG provides.
        """
        chosen(attention, "cpu")  # refuses an unknown name
        self.pipeline = pipeline
        self.name = name
        self._attention, self._has_xformers = attention, False
        self._options = set(inspect.signature(pipeline.__call__).parameters)
        if "control_image" in self._options or not self._options >= _NEEDED:
            raise WeightsError(
                f"{name or 'The model'} is a {type(pipeline).__name__}, which needs more than a picture, a mask and a "
                "text; choose a model such as Stable Diffusion, SDXL, SD 3 or Flux."
            )
        pipeline.set_progress_bar_config(disable=True)
        unet = getattr(pipeline, "unet", None)
        cell = pipeline.vae_scale_factor if unet is not None else 2 * pipeline.vae_scale_factor  # transformers: patches
        side: Any = getattr((unet or pipeline.transformer).config, "sample_size", None)
        side = side or getattr(pipeline, "default_sample_size", 128)
        self.size = int(np.max(side)) * pipeline.vae_scale_factor
        self.multiple = math.lcm(cell, _PIXELS)
        self._cell = cell

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        attention: str = "auto",
        download: bool = False,
    ) -> DiffusionInpainting:
        """Loads a model from this machine, from safetensors; code that comes with it is never run.

        If the model has a safety checker, it stays active.

        Args:
            model: a diffusers folder, a single .safetensors file, or a name on the Hugging Face hub such as
                "stable-diffusion-v1-5/stable-diffusion-inpainting"; see `pipelines.read_pipeline`.
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "fp32", "bf16", "fp16", or "auto": fp16 with CUDA, else fp32.
            attention: "xformers" for its memory-efficient attention, "sdpa" or "eager" for the pipeline's own; "auto":
                xformers on CUDA where it is installed.
            download: whether to download missing files from the hub; otherwise the network is not used.

        Raises:
            WeightsError: the model is not on this machine, is pickled or damaged, or its type is unsuitable.
            InputError: the device or precision is not available here.
            OutOfMemory: the device does not have enough memory for the model.
            EsgError: diffusers is not installed.
        """
        where = choose_device(device)
        if precision == "auto":
            precision = "fp16" if where.type == "cuda" else "fp32"
        dtype = choose_dtype(precision, where)
        chosen(attention, where)  # refuses an unknown name before the weights are loaded
        with _enough_memory(str(model), torch.device("cpu")):
            pipeline = read_pipeline(model, dtype, download=download)
        return cls(pipeline, str(model), attention=attention)._put(where)

    @staticmethod
    def find(model: str | Path) -> Path | None:
        """The path of a model for `from_pretrained` on this machine, or None if it would have to be downloaded.

        Raises:
            WeightsError: the folder or file does not exist, and it is not a valid name on the Hugging Face hub.
        """
        return place_of(model)

    @property
    def device(self) -> torch.device:
        """The device the model runs on."""
        return self.pipeline.device

    def to(self, device: str) -> DiffusionInpainting:
        """Moves the model to another device, such as "cpu" to make room on a GPU, and returns this engine.

        Raises:
            InputError: the device is not available here.
            OutOfMemory: the device does not have enough memory for the model, which stays where it is.
        """
        before = self.device
        try:
            self._put(choose_device(device))
        except OutOfMemory:
            self._put(before)
            raise
        release_memory(before)
        return self

    def __call__(
        self,
        picture: np.ndarray,
        generation: np.ndarray,
        prompt: str,
        *,
        negative: str = "",
        steps: int = 25,
        strength: float = 1.0,
        guidance: float = 7.5,
        seed: int = 0,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> np.ndarray | None:
        """Repaints part of a picture; the same input gives the same result on the same device.

        The model generates the whole picture, so the rest of it changes slightly, too; `esg.stitch_back` uses only the
        repainted part.

        Args:
            picture: (h, w, 3) uint8, or float32 from 0 to 1, sides multiples of `multiple`; it is not changed.
            generation: (h, w) bool, or float from 0 to 1; pixels of 0.5 or more are generated.
            prompt: description of the new content.
            negative: description of content to avoid.
            steps: number of diffusion steps, 1 to 1000.
            strength: above 0 and up to 1; 1 starts from pure noise, less keeps more of the picture and runs
                proportionally fewer steps.
            guidance: how closely to follow the prompt, 0 to 100; up to 1, the negative prompt is ignored.
            seed: random seed of the noise, 0 to 2**64 - 1.
            progress: called as `progress(done, total, Stage.STEPS)` after every step.
            stop: called after every step; the call ends if it returns True.

        Returns:
            (h, w, 3) in the picture's dtype, or None if it was stopped. If the mask is empty, a copy of the picture.

        Raises:
            InputError: an argument has a wrong shape, dtype or value, or the model's result is NaN or infinite.
            OutOfMemory: the device does not have enough memory.
            EsgError: the model's own safety checker rejected the result.
        """
        hole = self._hole(picture, generation)
        check_painting(prompt, negative=negative, steps=steps, strength=strength, guidance=guidance, seed=seed)
        if negative and "negative_prompt" not in self._options:
            raise InputError(f"{self.name or 'This model'} does not accept a negative prompt; leave it empty.")
        if not hole.any():
            return picture.copy()

        def after_step(pipeline: Any, index: int, _: Any, values: dict[str, Any]) -> dict[str, Any]:
            if progress is not None:
                progress(index + 1, pipeline.num_timesteps, Stage.STEPS)
            if stop is not None and stop():
                raise _Stopped  # `pipeline._interrupt` would still decode the picture, which takes seconds on a CPU
            return values

        options: dict[str, Any] = {"negative_prompt": negative} if negative else {}
        height, width = hole.shape
        try:
            with _enough_memory(self.name, self.device):
                made = self.pipeline(
                    prompt=prompt,
                    image=Image.fromarray(_bytes(picture)),
                    mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
                    height=height,
                    width=width,
                    num_inference_steps=steps,
                    strength=float(strength),
                    guidance_scale=float(guidance),
                    generator=torch.Generator().manual_seed(seed),  # on the CPU, for the same noise on every device
                    output_type="np",
                    callback_on_step_end=after_step,
                    **options,
                )
        except _Stopped:
            return None
        if any(getattr(made, "nsfw_content_detected", None) or []):
            raise EsgError("The model's own safety checker rejected the result; change the prompt or the seed.")
        result = np.asarray(made.images[0], np.float32)
        if not np.isfinite(result).all():
            raise InputError("The model produced values that are NaN or infinite; try precision fp32 or bf16.")
        return _bytes(result) if picture.dtype == np.uint8 else result

    def _hole(self, picture: np.ndarray, generation: np.ndarray) -> np.ndarray:
        """The area to generate, (h, w) bool, in whole latent cells, since models see one mask pixel per cell."""
        if picture.dtype not in (np.uint8, np.float32) or picture.ndim != 3 or picture.shape[2] != 3:
            raise InputError(
                "A picture to repaint must be (height, width, 3) uint8, or float32 from 0 to 1, "
                f"not {picture.shape} {picture.dtype}."
            )
        height, width = picture.shape[:2]
        if generation.shape != (height, width) or generation.dtype.kind not in "bf":
            raise InputError(
                f"The mask must be bool or float of the picture's height and width, {(height, width)}, "
                f"not {generation.shape} {generation.dtype}."
            )
        if height % self.multiple or width % self.multiple or not picture.size:
            raise InputError(
                f"This model needs pictures whose sides are multiples of {self.multiple} pixels, but this one has "
                f"{width}x{height}; cut it with CropSettings(multiple={self.multiple})."
            )
        cell = self._cell
        cells = (generation >= 0.5).reshape(height // cell, cell, width // cell, cell).any(axis=(1, 3))
        return cells.repeat(cell, axis=0).repeat(cell, axis=1)

    def _put(self, device: torch.device) -> DiffusionInpainting:
        with quiet_libraries(), _enough_memory(self.name, device):
            self.pipeline.to(device)
        wanted = chosen(self._attention, device) == "xformers"
        if wanted and not self._has_xformers:
            self._has_xformers = _use_xformers(self.pipeline)
        elif self._has_xformers and not wanted:
            self.pipeline.disable_xformers_memory_efficient_attention()
            self._has_xformers = False
        return self


def check_painting(prompt: str, *, negative: str, steps: int, strength: float, guidance: float, seed: int) -> None:
    """Raises InputError unless these options of a call have the right types and ranges; does not need a model."""
    for text in (prompt, negative):
        if not isinstance(text, str):
            raise InputError(f"A prompt must be a text, but this one is {type_name(text)}.")
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise InputError(f"The prompt {text!r} contains characters that are not valid text; write it again.")
    if not is_whole(steps) or not 1 <= steps <= MAX_STEPS:
        raise InputError(f"The number of steps must be a whole number from 1 to {MAX_STEPS}, not {steps}.")
    if not is_number(strength) or not 0 < strength <= 1:  # also true for NaN
        raise InputError(f"The strength must be a number above 0 and up to 1, not {strength}.")
    if int(steps * strength) < 1:
        raise InputError(f"With strength {strength}, none of the {steps} steps is left; raise one of them.")
    if not is_number(guidance) or not 0 <= guidance <= 100:
        raise InputError(f"The guidance must be a number from 0 to 100, not {guidance}.")
    if not is_whole(seed) or not 0 <= seed < 2**64:
        raise InputError(f"The seed must be a whole number from 0 to {2**64 - 1}, not {seed}.")


def _enough_memory(name: str, device: torch.device) -> AbstractContextManager[None]:
    return enough_memory(
        f"{name or 'The diffusion model'} needs more memory than {device} has free; unload other models, or choose a "
        "smaller model, a smaller crop, precision fp16 on a GPU, or device cpu."
    )


def _use_xformers(pipeline: Any) -> bool:
    """Gives a pipeline xformers' attention; False if it does not take it and keeps its own, which is logged."""
    try:
        pipeline.enable_xformers_memory_efficient_attention()
    except (AttributeError, ImportError, RuntimeError, ValueError) as error:
        log.warning("%s does not take xformers (%s) and keeps its own attention.", type(pipeline).__name__, error)
        return False
    return True


class _Stopped(Exception):
    """Ends a pipeline from within a step."""


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """Converts uint8, or float from 0 to 1, to uint8."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
