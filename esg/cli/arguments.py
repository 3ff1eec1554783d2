"""Arguments and argument types that several commands share, and a parser that reports errors in one line.

Two kinds of functions take the parsed arguments, `args`: commands, which a parser names in `set_defaults`, and readers
such as `machine_of`, which have no other parameter and return the values of the options that a function in the same
file adds. All other functions take the values they need.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from ..support.limits import MAX_PIXELS, MIN_SIDE
from .console import print_to

DEFAULT_OUT = "esg-output"
DASHES = "Put file names that begin with a dash after two dashes: esg COMMAND [OPTIONS] -- -photo.jpg."


class Machine(TypedDict):
    """The options of `add_machine`, as `from_pretrained` takes them."""

    device: str
    precision: str
    attention: str
    compile: bool


class Views(TypedDict):
    """The options of `add_views`, as `EntitySegmenter` takes them."""

    crops: int | None
    crop_ratio: float | None
    fusion: str | None
    size: int | None
    max_size: int | None


class Writing(TypedDict):
    """The options of `add_writing` for a single draft, as `Grounder.caption` takes them."""

    max_tokens: int
    temperature: float
    seed: int


class Parser(argparse.ArgumentParser):
    """argparse's parser, except that a wrong argument gets one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse prints everything through this; its own version ignores write errors, which then appear at exit."""
        if message:
            print_to(file or sys.stderr, message)


def add_photos(parser: argparse.ArgumentParser) -> None:
    """PHOTO...: `args.photos`, for `listing.list_images`."""
    parser.add_argument(
        "photos",
        type=file_or_folder,
        nargs="+",
        metavar="PHOTO",
        help="picture, or folder to search for pictures",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """--out and --no-overwrite: `args.out`, the output folder, and `args.overwrite`."""
    parser.add_argument(
        "--out", type=file_or_folder, default=DEFAULT_OUT, metavar="DIR", help=f"output folder [{DEFAULT_OUT}]"
    )
    add_no_overwrite(parser, "skip photos that already have results there [replace the results, and say so]")


def add_no_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """--no-overwrite: `args.overwrite`."""
    parser.add_argument("--no-overwrite", dest="overwrite", action="store_false", help=what)


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """--max-pixels: `args.max_pixels`, for `reading.read_image`."""
    parser.add_argument(
        "--max-pixels",
        type=whole(1),
        default=MAX_PIXELS,
        metavar="N",
        help=f"refuse photos with more pixels, as a guard against malicious files [{MAX_PIXELS}]",
    )


def add_grounder(parser: argparse.ArgumentParser) -> Any:
    """--model, the model that captions and grounds, in a new argument group, which is returned."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        type=not_empty,
        default="gella-nano",
        metavar="NAME|FILE",
        help="a name from `esg weights list`, or a weight file [gella-nano, which comes with ESG]; zero-shot: public "
        "models, CLIP and LLaVA-1.5 7B; zero-shot:WRITER: CLIP and another caption model, for example the small "
        "HuggingFaceTB/SmolVLM-Instruct or HuggingFaceTB/SmolVLM-500M-Instruct; zero-shot:none: CLIP alone, for your "
        "own captions. Get these models with `hf download`, and use them with --precision bf16",
    )
    return model


def add_writing(parser: argparse.ArgumentParser) -> None:
    """--max-tokens, --temperature, --seed and --drafts, for writing captions."""
    writing = parser.add_argument_group("writing a caption")
    writing.add_argument(
        "--max-tokens", "--length", type=whole(1), default=256, metavar="N", help="maximum number of tokens [256]"
    )
    writing.add_argument(
        "--temperature",
        type=not_negative,
        default=0.0,
        metavar="T",
        help="0 always takes the likeliest word; larger values also take others [0]",
    )
    writing.add_argument(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="random seed, used when the temperature is above 0 [0]",
    )
    writing.add_argument(
        "--drafts",
        type=whole(1),
        metavar="N",
        help="write this many captions and keep the one whose nouns are grounded best in the photo's entities [depends "
        "on the model: 4 for gella-nano, 1 for large models]",
    )


def writing_of(args: argparse.Namespace) -> Writing:
    """The options of `add_writing`, except --drafts."""
    return {"max_tokens": args.max_tokens, "temperature": args.temperature, "seed": args.seed}


def add_views(model: Any) -> None:
    """--crops, --crop-ratio, --fusion, --size and --max-size."""
    add_crops(model)
    model.add_argument(
        "--crop-ratio",
        type=share,
        metavar="R",
        help="side of a crop as a share of the photo's side, above 0 and at most 1 [the model's default, 0.7]",
    )
    model.add_argument(
        "--fusion",
        choices=("boc", "bc", "bo", "io"),
        help="what the result is built from; at batch level: boc: full view and crops, bc: crops only, bo: full view "
        "only; at image level: io: full view only [boc, or io without crops or with a Mask2Former]",
    )
    add_view_sizes(model)


def add_crops(model: Any) -> None:
    """--crops."""
    model.add_argument(
        "--crops",
        type=int,
        choices=(0, 4, 8),
        help="number of high-resolution crops besides the full view [4; 0 for cropformer-nano]",
    )


def add_view_sizes(model: Any) -> None:
    """--size and --max-size."""
    model.add_argument(
        "--size", type=whole(MIN_SIDE), metavar="PIXELS", help="resize views to this short side [the model's default]"
    )
    model.add_argument(
        "--max-size",
        type=whole(MIN_SIDE),
        metavar="PIXELS",
        help="limit the long side of views to this [the model's default]",
    )


def views_of(args: argparse.Namespace) -> Views:
    """The options of `add_views`."""
    return {
        "crops": args.crops,
        "crop_ratio": args.crop_ratio,
        "fusion": args.fusion,
        "size": args.size,
        "max_size": args.max_size,
    }


def add_machine(parser: argparse.ArgumentParser, devices: str = "auto, cpu, cuda, cuda:1, mps ...") -> Any:
    """--device, --precision, --attention and --compile, in a new argument group, which is returned."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", metavar="DEVICE", help=f"{devices} [auto: the fastest available]")
    machine.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="precision of the network; fp16 needs a GPU [fp32]",
    )
    machine.add_argument(
        "--attention",
        choices=("auto", "sdpa", "xformers", "eager"),
        default="auto",
        help="attention backend [auto: xformers on CUDA if xformers is installed, else PyTorch's own]",
    )
    machine.add_argument(
        "--compile",
        action="store_true",
        help="compile the segmenter, and the steps in which a GELLA writes, with torch.compile: takes minutes for each "
        "new view size, is kept for later runs, and is then faster on GPUs; the results are the same up to rounding "
        "[do not compile]",
    )
    return machine


def machine_of(args: argparse.Namespace) -> Machine:
    """The options of `add_machine`."""
    return {
        "device": args.device,
        "precision": args.precision,
        "attention": args.attention,
        "compile": args.compile,
    }


def file_or_folder(text: str) -> Path:
    """A path. It must not be empty: that would mean the current folder, and usually stems from an unset variable."""
    return Path(not_empty(text))


def not_empty(text: str) -> str:
    """A name or a path, unchanged."""
    if not text:
        raise argparse.ArgumentTypeError("the value is empty; give a name or a path")
    return text


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from `minimum` to `maximum`, or without upper limit."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is below the minimum of {minimum}")
        if maximum is not None and value > maximum:
            raise argparse.ArgumentTypeError(f"{value} is above the maximum of {maximum}")
        return value

    return parse


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return value


def words(text: str) -> str:
    """A text that is not blank, unchanged."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the text is blank; write some words")
    return text


def names(text: str) -> list[str]:
    """A list of names separated by commas, or by dots as in "cat . dog ."; no name may be empty."""
    from ..language.listing import split_names

    if not all(name.strip() for name in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like red ball, two dogs")
    return split_names(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
