"""How `esg inpaint` fills the gap that an entity leaves: from its surroundings, or with a diffusion model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..support.errors import InputError
from .arguments import Machine, fraction, not_empty, not_negative, positive, whole
from .caption import ADVICE
from .console import Console
from .job import Job

if TYPE_CHECKING:
    import numpy as np

    from ..inpaint.settings import MaskSettings, PaintSettings

Fill = Callable[["np.ndarray", "np.ndarray", Job], "np.ndarray"]  # photo and mask, (H, W, 3) and (H, W) → photo


@dataclass(frozen=True)
class Removing:
    """Fills a gap from its surroundings, with OpenCV.

    Attributes:
        area: the area that is filled.
        method: method of OpenCV.
    """

    area: MaskSettings
    method: str
    done: ClassVar[str] = "removed"
    advice: ClassVar[str] = ADVICE  # when memory runs out

    def load(self, machine: Machine, console: Console) -> Fill:
        """The function that fills a gap; EsgError if OpenCV is missing."""
        from ..inpaint.engines.opencv import load_opencv
        from ..inpainter import Inpainter

        load_opencv()
        inpainter = Inpainter()
        return lambda pixels, mask, job: inpainter.remove(
            pixels, mask, self.area, method=self.method, max_pixels=job.max_pixels
        )


@dataclass(frozen=True)
class Repainting:
    """Fills a gap with a diffusion model.

    Attributes:
        area: the area that is filled.
        prompt: description of the new content.
        model: name, folder or file of the model.
        precision: precision of the model.
        download: whether to download files of the model that are missing.
        paint: the settings of the model.
    """

    area: MaskSettings
    prompt: str
    model: str
    precision: str
    download: bool
    paint: PaintSettings
    done: ClassVar[str] = "repainted"
    advice: ClassVar[str] = "a smaller --inpainter, --paint-precision fp16 on a GPU, or --device cpu"

    def load(self, machine: Machine, console: Console) -> Fill:
        """The function that fills a gap, with the model loaded; EsgError if a setting is wrong or a file is missing."""
        from ..inpainter import Inpainter

        self.paint.check(self.prompt)
        console.progress(f"Loading {self.model} ...")
        inpainter = Inpainter.from_pretrained(
            self.model,
            device=machine["device"],
            precision=self.precision,
            attention=machine["attention"],
            download=self.download,
        )
        return lambda pixels, mask, job: inpainter.repaint(
            pixels, mask, self.prompt, self.area, self.paint, max_pixels=job.max_pixels, progress=job.progress
        )


Filling = Removing | Repainting


def add_filling(parser: argparse.ArgumentParser) -> None:
    """Adds the options for OpenCV and for diffusion."""
    hole = parser.add_argument_group("how to fill the gap")
    hole.add_argument(
        "--grow", type=whole(0), default=8, metavar="PIXELS", help="fill this far beyond the entity's edge [8]"
    )
    hole.add_argument(
        "--feather",
        type=whole(0),
        default=4,
        metavar="PIXELS",
        help="width of the edge over which the filling fades into the photo [4]",
    )
    hole.add_argument("--method", choices=("telea", "ns"), default="telea", help="OpenCV's inpainting method [telea]")

    paint = parser.add_argument_group("repainting instead", "with a diffusion model, through the diffusers library")
    paint.add_argument("--prompt", metavar="TEXT", help="what to paint in place of the entity")
    paint.add_argument(
        "--inpainter",
        type=not_empty,
        metavar="ID|FOLDER|FILE",
        help="the model: a diffusers folder, a .safetensors file, or its name on the Hugging Face hub, such as "
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
    )
    paint.add_argument(
        "--download", action="store_true", help="get missing files of the model from the hub [nothing is downloaded]"
    )
    paint.add_argument("--negative", default="", metavar="TEXT", help="what to avoid")
    paint.add_argument("--steps", type=whole(1), default=25, metavar="N", help="diffusion steps, up to 1000 [25]")
    paint.add_argument(
        "--strength",
        type=positive,
        default=1.0,
        metavar="S",
        help="how much of the entity to replace, up to 1: 1 starts from pure noise, less keeps more of it [1]",
    )
    paint.add_argument(
        "--guidance",
        type=not_negative,
        default=7.5,
        metavar="G",
        help="how closely to follow the prompt, up to 100 [7.5]",
    )
    paint.add_argument("--seed", type=whole(0), default=0, metavar="N", help="random seed of the noise [0]")
    paint.add_argument(
        "--match-colour",
        type=fraction,
        default=0.5,
        metavar="S",
        help="how far to match the colours to the surroundings, 0 to 1 [0.5]",
    )
    paint.add_argument(
        "--paint-precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="precision of the inpainter [auto: fp16 with CUDA, else fp32]",
    )


def filling_of(args: argparse.Namespace) -> Filling:
    """The options of `add_filling`; InputError if only one of --prompt and --inpainter is given."""
    from ..inpaint.settings import MaskSettings, PaintSettings

    if (args.prompt is None) != (args.inpainter is None):
        raise InputError("To repaint, give both --prompt TEXT and --inpainter MODEL; to remove entities, give neither.")
    area = MaskSettings(args.grow, args.feather)
    if args.prompt is None:
        return Removing(area, args.method)
    paint = PaintSettings(args.negative, args.steps, args.strength, args.guidance, args.seed, args.match_colour)
    return Repainting(area, args.prompt, args.inpainter, args.paint_precision, args.download, paint)
