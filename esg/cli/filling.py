"""How `esg inpaint` fills the gap an entity leaves: from its surroundings, or with a diffusion model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..support.errors import InputError
from .arguments import fraction, not_empty, not_negative, positive, whole
from .caption import ADVICE
from .console import Console
from .job import Job

if TYPE_CHECKING:
    import numpy as np

    from ..inpainter import MaskSettings

PAINTING_ADVICE = "a smaller --inpainter, --paint-precision fp16 on a GPU, or --device cpu"  # when memory runs out

Fill = Callable[["np.ndarray", "np.ndarray", Job], "np.ndarray"]  # photo and mask, (H, W, 3) and (H, W) → photo


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
        help="width of the outermost part of it, in which the filling fades into the photo [4]",
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
        help="up to 1, which starts from pure noise; less keeps more of the entity [1]",
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


def load_filling(args: argparse.Namespace, console: Console) -> Fill:
    """Returns the function that fills a gap, with its model loaded.

    Raises:
        EsgError: an option is wrong, or something that it needs is missing.
    """
    if (args.prompt is None) != (args.inpainter is None):
        raise InputError("To repaint, give both --prompt TEXT and --inpainter MODEL; to remove entities, give neither.")
    return _removing(args) if args.prompt is None else _repainting(args, console)


def advice(args: argparse.Namespace) -> str:
    """Suggests what to try when memory runs out."""
    return ADVICE if args.prompt is None else PAINTING_ADVICE


def _removing(args: argparse.Namespace) -> Fill:
    from ..inpaint.engines.opencv import load_opencv
    from ..inpainter import Inpainter

    load_opencv()
    inpainter, settings = Inpainter(), _mask_settings(args)
    return lambda pixels, mask, job: inpainter.remove(
        pixels, mask, settings, method=args.method, max_pixels=job.max_pixels
    )


def _repainting(args: argparse.Namespace, console: Console) -> Fill:
    from ..inpainter import Inpainter, PaintSettings

    names = ("negative", "steps", "strength", "guidance", "seed", "match_colour")
    paint = PaintSettings(**{name: getattr(args, name) for name in names})
    paint.check(args.prompt)
    console.progress(f"Loading {args.inpainter} ...")
    inpainter = Inpainter.from_pretrained(
        args.inpainter,
        device=args.device,
        precision=args.paint_precision,
        attention=args.attention,
        download=args.download,
    )
    settings = _mask_settings(args)
    return lambda pixels, mask, job: inpainter.repaint(
        pixels, mask, args.prompt, settings, paint, max_pixels=job.max_pixels, progress=job.progress
    )


def _mask_settings(args: argparse.Namespace) -> MaskSettings:
    from ..inpainter import MaskSettings

    return MaskSettings(args.grow, args.feather)
