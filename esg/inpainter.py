"""Inpainter: takes a photo and a mask, and returns the photo with that part removed or repainted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .inpaint.crop import cut_for_inpainting
from .inpaint.engines.diffusion import DiffusionInpainting
from .inpaint.engines.opencv import remove_with_opencv
from .inpaint.settings import MaskSettings, PaintSettings
from .inpaint.stitch import stitch_back
from .pictures.reading import ImageLike, read_image
from .support.errors import InputError
from .support.limits import MAX_PIXELS
from .support.progress import Progress


class Inpainter:
    """Removes parts of photos, or repaints them with a diffusion model. Outside the filled area, no pixel changes.

    Removing needs no model: OpenCV fills the gap from its surroundings, which suits small things on a plain background.

    >>> import numpy as np
    >>> from esg import Inpainter
    >>> photo = np.full((64, 96, 3), 200, np.uint8)
    >>> photo[24:40, 40:56] = (180, 20, 20)  # a red square on a grey wall
    >>> mask = np.zeros((64, 96), bool)
    >>> mask[24:40, 40:56] = True
    >>> clean = Inpainter().remove(photo, mask)
    >>> bool(np.abs(clean[32, 48] - 200.0).max() < 10)  # the wall continues where the square was
    True

    Attributes:
        engine: the diffusion model; None if there is none, and `repaint` cannot be called.
    """

    def __init__(self, engine: DiffusionInpainting | None = None) -> None:
        """Wraps a loaded model; `from_pretrained` loads one."""
        self.engine = engine

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        attention: str = "auto",
        download: bool = False,
    ) -> Inpainter:
        """Loads a diffusion model for inpainting through the diffusers library.

        Args:
            model: a diffusers folder, a `.safetensors` file, or a name on the Hugging Face hub such as
                "stable-diffusion-v1-5/stable-diffusion-inpainting".
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "auto" (fp16 on CUDA, else fp32), "fp32", "bf16" or "fp16".
            attention: as for `DiffusionInpainting.from_pretrained`.
            download: whether missing files are fetched from the hub.

        Raises:
            WeightsError: the model is missing or not suitable.
            EsgError: diffusers is not installed.
        """
        engine = DiffusionInpainting.from_pretrained(
            model, device=device, precision=precision, attention=attention, download=download
        )
        return cls(engine)

    def remove(
        self,
        image: ImageLike,
        mask: np.ndarray,
        settings: MaskSettings | None = None,
        *,
        method: str = "telea",
        max_pixels: int = MAX_PIXELS,
    ) -> np.ndarray:
        """Removes what the mask covers. The same input gives the same result.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array; it is not changed.
            mask: (H, W) bool, or float from 0 to 1, for example `entities.mask([3])`.
            settings: how the mask grows and fades; None: the defaults.
            method: OpenCV's inpainting method, "telea" or "ns".
            max_pixels: larger pictures are refused.

        Returns:
            (H, W, 3) uint8 RGB; with an empty mask, a copy of the picture.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the mask has another size or leaves nothing to fill from, or a setting is out of range.
            EsgError: OpenCV is not installed.
        """
        pixels = read_image(image, max_pixels=max_pixels)
        crop = cut_for_inpainting(pixels, mask, (settings or MaskSettings()).crop(None))
        return stitch_back(pixels, crop.stitch, remove_with_opencv(crop.picture, crop.generation, method=method))

    def repaint(
        self,
        image: ImageLike,
        mask: np.ndarray,
        prompt: str,
        settings: MaskSettings | None = None,
        paint: PaintSettings | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Paints something else where the mask is. The same input gives the same result on the same device.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array; it is not changed.
            mask: (H, W) bool, or float from 0 to 1.
            prompt: what to paint.
            settings: how the mask grows and fades; None: the defaults.
            paint: how the model paints; None: the defaults.
            max_pixels: larger pictures are refused.
            progress: called as `progress(done, total, Stage.STEPS)` after every step; an exception that it raises
                ends the call.

        Returns:
            (H, W, 3) uint8 RGB; with an empty mask, a copy of the picture.

        Raises:
            ImageError: the picture cannot be used.
            InputError: no model is loaded, the mask has another size, or a setting is out of range.
            OutOfMemory: the device has too little memory.
            EsgError: the model's own safety checker refuses the result.
        """
        if self.engine is None:
            raise InputError("Repainting needs a diffusion model; load one with Inpainter.from_pretrained(MODEL).")
        paint = paint or PaintSettings()
        paint.check(prompt)
        pixels = read_image(image, max_pixels=max_pixels)
        crop = cut_for_inpainting(pixels, mask, (settings or MaskSettings()).crop(self.engine))
        painted = self.engine(crop.picture, crop.generation, prompt, progress=progress, **paint.options)
        assert painted is not None  # it is None only if `stop` is given
        return stitch_back(pixels, crop.stitch, painted, paint.match_colour)
