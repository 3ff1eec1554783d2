"""Parameters and operations of GELLA, compared with Tables XI and XII of the paper.

    python -m benchmarks.gella_cost [--preset gella-7b] [--text 300]

Everything is computed from shapes only, with PyTorch's fake tensors: the 13B model is counted in seconds on any
machine. An operation is a multiplication or an addition, as `torch.utils.flop_counter` counts them in matrix products,
convolutions and attention; half of it is the number of multiply-adds, which papers often call FLOPS. Norms,
activations, interpolation and the sampling of deformable attention are not counted.

The parts are counted as follows. The image encoder processes one square picture, and the mask encoder one colormap at
the preset's resolution. The language model reads the picture's tokens and the given number of text tokens in one pass,
with its head on every token. The mask decoder consists of pixel decoder, masked-attention decoder and final masks. The
paper has no column for ResoBlend, projector and association; the projector's operations are in the image encoder's.

Table XI is reproduced (the paper counts MobileNetV2 with its classifier). Table XII mixes units: the language model's
11,987 is the number of operations for a text of 300 tokens, a length that the paper does not state; the 204 of both
encoders is the number of multiply-adds. The mask decoder's 113 cannot be reproduced: it depends on the colormap's
resolution, which is not stated either, and on how attention masks are computed; ours are cheaper than Mask2Former's.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from esg.models.gella.config import PRESETS
from esg.models.gella.model import Gella

from .flops import counter
from .records import add_out, save

# Millions of parameters (Table XI) and GFLOPS (Table XII a), with LLaMA-7B.
PARAMETERS = {"image encoder": 300.0, "mask encoder": 3.5, "mask decoder": 21.0}
OPERATIONS = {"language model": 11987.0, "image + mask encoder": 204.0, "mask decoder": 113.0}

SHAPES = FakeTensorMode()


def built(preset: str) -> Gella:
    """A model without real weights."""
    with SHAPES:
        return Gella(PRESETS[preset]).eval().requires_grad_(False)


def parameters(model: Gella) -> dict[str, int]:
    """The number of parameters of each part; the sum is that of the model."""
    vision = next(module for name, module in model.language.named_modules() if name.endswith("vision_tower"))
    projector = next(module for name, module in model.language.named_modules() if name.endswith("projector"))
    seen, projected = _size(vision), _size(projector)
    return {
        "image encoder": seen,
        "mask encoder": _size(model.colormap),
        "mask decoder": _size(model.pixel_decoder) + _size(model.decoder),
        "language model": _size(model.language) - seen - projected,
        "projector": projected,
        "ResoBlend": _size(model.blend),
        "association": _size(model.association),
    }


@dataclass(frozen=True)
class ReadingCost:
    """The operations that a language model needs to read a sequence, with its head on every token.

    Attributes:
        token: operations of the linear layers, for each token.
        pair: operations of attention, for each pair of tokens; a token with itself is one too.
    """

    token: int
    pair: int

    def __call__(self, tokens: int) -> int:
        """The operations for a sequence of this many tokens."""
        return self.token * tokens + self.pair * tokens**2

    def longest(self, most: float) -> int:
        """The number of tokens of the longest sequence that needs at most this many operations."""
        return int((math.sqrt(self.token**2 + 4 * self.pair * most) - self.token) / (2 * self.pair))


def reading_cost(model: Gella) -> ReadingCost:
    """The cost of reading with the language model of `model`, counted for sequences of one token and of two."""
    one, two = (counted_reading(model, tokens) for tokens in (1, 2))
    pair = (two - 2 * one) // 2
    return ReadingCost(one - pair, pair)


def counted_reading(model: Gella, tokens: int) -> int:
    """The operations of reading one sequence of this many tokens."""
    with SHAPES:
        embedded = torch.zeros(1, tokens, model.config.language.width)
    return counted(lambda: model.language.continued(embedded, None, last=tokens))


def operations(model: Gella) -> dict[str, int]:
    """The operations for a picture of each part but the language model; see `built` and `reading_cost`."""
    config = model.config
    sizes = config.vision
    with SHAPES:
        pixels = torch.zeros(1, 3, sizes.side, sizes.side)
        colours = torch.zeros(1, 3, config.colormap_side, config.colormap_side)
        grid = torch.zeros(1, sizes.width, sizes.grid, sizes.grid)
    colormap = counted(lambda: model.colormap(colours))
    blend = counted(lambda: model.blend(grid, model.colormap(colours))) - colormap
    return {
        "image encoder": counted(lambda: model.language.see(pixels)),  # includes the projector, one hundredth of it
        "mask encoder": colormap,
        "mask decoder": counted(lambda: model.reconstruct(grid, colours).masks()) - colormap - blend,
        "ResoBlend": blend,
    }


@torch.no_grad()
def counted(run: Callable[[], object]) -> int:
    """The operations of a call."""
    with SHAPES, counter() as operations:
        run()
    return operations.get_total_flops()


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", choices=[*PRESETS], help="all by default")
    parser.add_argument("--text", type=int, default=300, help="text tokens, in addition to those of the picture")
    add_out(parser)
    arguments = parser.parse_args()
    figures = {}
    for preset in arguments.preset or [*PRESETS]:
        model = built(preset)
        config = model.config
        paper = preset == "gella-7b"
        print(
            f"\n{preset}: picture {config.vision.side}, colormap {config.colormap_side}, {arguments.text} text tokens"
        )
        print(f"{'parameters':24}{'millions':>12}" + (f"{'Table XI':>12}" if paper else ""))
        held = parameters(model)
        for name, count in [*held.items(), ("all", sum(held.values()))]:
            beside = f"{PARAMETERS[name]:12.1f}" if paper and name in PARAMETERS else ""
            print(f"  {name:22}{count / 1e6:12.1f}{beside}")
        reads = reading_cost(model)
        cost = {**operations(model), "language model": reads(config.vision.grid**2 + arguments.text)}
        figures[preset] = {"parameters": held, "operations": cost}
        joint = {"image + mask encoder": cost["image encoder"] + cost["mask encoder"]}
        print(f"{'operations':24}{'10^9':>12}{'mult-adds':>12}" + (f"{'Table XII':>12}" if paper else ""))
        for name, count in [*cost.items(), *joint.items(), ("all", sum(cost.values()))]:
            beside = f"{OPERATIONS[name]:12.0f}" if paper and name in OPERATIONS else ""
            print(f"  {name:22}{count / 1e9:12.1f}{count / 2e9:12.1f}{beside}")
        if paper:
            wanted = OPERATIONS["language model"] * 1e9
            print(
                f"The paper's {wanted / 1e9:.0f} for the language model would be {reads.longest(wanted)} tokens if "
                f"it counts operations, {reads.longest(2 * wanted)} if multiply-adds; it does not state the number."
            )
    bars = {preset: {part: count / 1e9 for part, count in own["operations"].items()} for preset, own in figures.items()}
    save(arguments.out, "gella_cost", figures, bars, "operations in 10^9")


if __name__ == "__main__":
    main()
