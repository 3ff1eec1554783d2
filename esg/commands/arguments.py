"""Arguments and kinds of arguments that several commands take, and a parser that complains in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ..limits import MAX_PIXELS
from ..orders import ORDERS
from .console import print_to

DEFAULT_OUT = "esg-output"
DASHES = "Names that begin with a dash come after two dashes: esg COMMAND [OPTIONS] -- -photo.jpg."


class Parser(argparse.ArgumentParser):
    """argparse's, but a wrong argument is answered by one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """How argparse prints all that it does; its own way passes over an error that then comes at exit."""
        if message:
            print_to(file or sys.stderr, message)


def add_photos(parser: argparse.ArgumentParser) -> None:
    """PHOTO...: `args.photos`, for `naming.list_images`."""
    parser.add_argument(
        "photos",
        type=file_or_folder,
        nargs="+",
        metavar="PHOTO",
        help="picture, or folder to look through for pictures",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """--out and --no-overwrite: `args.out`, the output folder, and `args.overwrite`."""
    parser.add_argument(
        "--out", type=file_or_folder, default=DEFAULT_OUT, metavar="DIR", help=f"output folder [{DEFAULT_OUT}]"
    )
    add_no_overwrite(parser, "leave out photos that have results there already [those are replaced, which is said]")


def add_no_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """--no-overwrite: `args.overwrite`."""
    parser.add_argument("--no-overwrite", dest="overwrite", action="store_false", help=what)


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """--max-pixels: `args.max_pixels`, for `images.read_image`."""
    parser.add_argument(
        "--max-pixels",
        type=whole(1),
        default=MAX_PIXELS,
        metavar="N",
        help=f"larger photos are refused, as a guard against malicious files [{MAX_PIXELS}]",
    )


def add_grounder(parser: argparse.ArgumentParser) -> Any:
    """--model of what captions and grounds, in a group that is given back."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        type=not_empty,
        default="gella-nano",
        metavar="NAME|FILE",
        help="one of `esg weights list`, or a weight file [gella-nano, which comes with ESG]; zero-shot: public "
        "models, CLIP and LLaVA-1.5 7B; zero-shot:WRITER: CLIP and another writer, small ones are "
        "HuggingFaceTB/SmolVLM-Instruct and HuggingFaceTB/SmolVLM-500M-Instruct; zero-shot:none: CLIP alone, for your "
        "own captions. Get these models with `hf download`, and use them with --precision bf16",
    )
    return model


def add_entities(model: Any) -> None:
    """--segmenter and --masks, where entities come from, in the group of `add_grounder`."""
    model.add_argument(
        "--segmenter",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="what finds the entities, one of `esg weights list` or a weight file [cropformer-nano, which comes with "
        "ESG]",
    )
    model.add_argument(
        "--masks",
        type=file_or_folder,
        metavar="FILE",
        help="take the entities from here: PNG of labels or of a mask, JSON of COCO, SAM, LabelMe and others, CVAT's "
        "XML, YOLO's text, .npy, .npz, or a folder of PNGs; docs/formats.md has the whole list",
    )
    model.add_argument(
        "--mask-order",
        choices=tuple(ORDERS),
        help="of masks that overlap: "
        + "; ".join(f"{name}: {what}" for name, what in ORDERS.items())
        + " [smaller for SAM's masks, else score, or as the file says]",
    )
    model.add_argument(
        "--mask-threshold",
        type=fraction,
        default=0.5,
        metavar="T",
        help="part of white above which a pixel of a soft mask is inside [0.5]",
    )
    model.add_argument(
        "--void",
        type=whole(-1),
        metavar="LABEL",
        help="label that belongs to nothing, as 0 always does; -1: no other label [255 where it is a border, as in "
        "PASCAL VOC, or far from all other labels, as in Cityscapes and ADE20K]",
    )
    model.add_argument(
        "--mask-pixels",
        choices=("auto", "upright", "stored"),
        default="auto",
        help="whether the masks were made of the photo as it is seen or of its stored pixels, where EXIF turns it "
        "[auto: by their size, else upright]",
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """--length, --temperature, --seed and --drafts of captions."""
    writing = parser.add_argument_group("writing a caption")
    writing.add_argument("--length", type=whole(1), default=256, metavar="N", help="tokens of it at most [256]")
    writing.add_argument(
        "--temperature",
        type=not_negative,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest word always, larger values take others too [0]",
    )
    writing.add_argument(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="of what is drawn by lot above temperature 0 [0]",
    )
    writing.add_argument(
        "--drafts",
        type=whole(1),
        metavar="N",
        help="captions that are written, of which the one is taken whose nouns are grounded best in the entities of "
        "the photo [as suits the model: 4 of gella-nano, 1 of large ones]",
    )


def add_machine(parser: argparse.ArgumentParser) -> Any:
    """--device and --precision, in a group that is given back."""
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:1, mps ... [auto: the fastest there is]",
    )
    machine.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the network; fp16 needs a GPU [fp32]"
    )
    return machine


def file_or_folder(text: str) -> Path:
    """A path, which may not be empty: that would mean the current folder, and comes of a variable that is not set."""
    return Path(not_empty(text))


def not_empty(text: str) -> str:
    """A name or a path, as it is."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a name or a path")
    return text


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A whole number from `minimum` to `maximum`, or of any size above."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is less than {minimum}")
        if maximum is not None and value > maximum:
            raise argparse.ArgumentTypeError(f"{value} is more than {maximum}")
        return value

    return parse


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 up")
    return value


def words(text: str) -> str:
    """A text, as it is, that says something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("there are no words in it; write some")
    return text


def names(text: str) -> list[str]:
    """A list with commas between the names, none of them empty, or with dots: cat . dog ."""
    from ..gella.listing import split_names

    if not all(name.strip() for name in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like red ball, two dogs")
    return split_names(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
