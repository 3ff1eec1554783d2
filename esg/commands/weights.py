"""`esg weights`: what can be loaded; getting, converting and checking it."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import add_no_overwrite, file_or_folder, not_empty
from .console import Console
from .results import check_result


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser(
        "weights", help="list, download, convert and verify weights", description="Manages the weights of the models."
    )
    own = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)

    command = own.add_parser(
        "list",
        help="the models that can be loaded",
        description="Lists the models that can be loaded, their licences, and where their weights are; then says, on "
        "stderr, what those know that come with ESG.",
    )
    command.set_defaults(run=list_weights)

    command = own.add_parser(
        "download",
        help="get published weights from their authors' page",
        description="Gets published weights from their authors' page on the Hugging Face hub and checks them; an "
        "interrupted download goes on. Prints the path of the file.",
    )
    command.set_defaults(run=download)
    command.add_argument("name", type=not_empty, metavar="NAME", help="a model of `esg weights list`")
    command.add_argument(
        "--folder", type=file_or_folder, metavar="DIR", help="where to put the file [$ESG_WEIGHTS, or esg in HF_HOME]"
    )
    command.add_argument(
        "--token",
        metavar="TOKEN",
        help="of a Hugging Face account that has accepted the authors' terms [$HF_TOKEN, or that of `hf auth login`]",
    )

    command = own.add_parser(
        "convert",
        help="turn a published .pth into safetensors",
        description="Turns a published .pth, or a weight file of a CropFormer or Mask2Former, into a safetensors file "
        "that says itself which model it is. What the .pth might run as a program is never run.",
    )
    command.set_defaults(run=convert)
    command.add_argument("file", type=file_or_folder, metavar="FILE", help="the weights to convert")
    command.add_argument(
        "--out", type=file_or_folder, required=True, metavar="FILE.safetensors", help="the file to write"
    )
    add_no_overwrite(command, "leave a file of that name as it is [it is replaced, which is said]")
    command.add_argument("--half", action="store_true", help="keep the numbers in fp16: half the size")

    command = own.add_parser(
        "verify",
        help="check that weights are complete and fit their model",
        description="Checks the weights against the SHA-256 that was noted when they were downloaded, if they were, "
        "loads them into their model, and prints what they are.",
    )
    command.set_defaults(run=verify)
    command.add_argument(
        "name", type=not_empty, metavar="NAME|FILE", help="a model of `esg weights list`, or a weight file"
    )


def list_weights(args: argparse.Namespace, console: Console) -> int:
    """Prints a table."""
    from ..catalogue import CHECKPOINTS
    from ..weights import list_checkpoints
    from ..zeroshot.folders import download_commands, find_model
    from ..zeroshot.zero_shot import CLIP, LICENCES, WRITER

    rows = [("NAME", "TASK", "LICENCE", "WEIGHTS")]
    for checkpoint, path in list_checkpoints():
        missing = "missing; install ESG again" if checkpoint.shipped else f"esg weights download {checkpoint.name}"
        rows.append((checkpoint.name, checkpoint.task, checkpoint.licence, str(path or missing)))
    places = {name: find_model(name) for name in (CLIP, WRITER)}
    absent = [name for name, place in places.items() if place is None]
    weights = download_commands(absent) if absent else " and ".join(map(str, places.values()))
    rows.append(("zero-shot", "grounding", LICENCES, f"made of public models: {weights}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    console.answer("\n".join(lines))
    for checkpoint in CHECKPOINTS.values():
        if checkpoint.knows:
            console.line(checkpoint.knows)
    return 0


def download(args: argparse.Namespace, console: Console) -> int:
    """Downloads, and prints the path of the file."""
    console.progress(f"Looking for {args.name} ...")
    from ..downloading import download as fetch

    path = fetch(args.name, folder=args.folder, token=args.token, say=console.line)
    console.answer(str(path))
    return 0


def convert(args: argparse.Namespace, console: Console) -> int:
    """Converts, and says what the file turned out to be."""
    earlier = check_result(args.out, overwrite=args.overwrite)
    console.progress(f"Reading {args.file} ...")
    from ..conversion import convert_file

    result = convert_file(args.file, args.out, half=args.half)
    size = result.path.stat().st_size / 2**20
    if earlier:
        console.line(f"{result.path} was there already and is replaced.")
    console.answer(f"{result.path}: {result.preset}, {result.parameters:,} parameters, {size:.1f} MiB")
    return 0


def verify(args: argparse.Namespace, console: Console) -> int:
    """Checks, and prints what the weights are."""
    console.progress(f"Reading {args.name} ...")
    from .. import weights
    from ..gella.checkpoint import read_gella
    from ..gella.recognition import is_gella
    from ..segmenter import load_model

    verified = weights.verify(args.name)
    if is_gella(verified.names, verified.metadata):
        read_gella(verified.path)
        name, task = verified.metadata.get("preset", verified.path.stem), "grounding"
    else:
        _, preset, name = load_model(args.name)
        task = preset.task
    noted = "as noted when it was downloaded" if verified.recorded else "nothing noted to compare it with"
    console.answer(f"file        {verified.path}")
    console.answer(f"sha256      {verified.sha256} ({noted})")
    console.answer(f"model       {name} ({task}), every tensor fits")
    console.answer(f"parameters  {verified.parameters:,}")
    return 0
