"""`esg weights`: lists, downloads, converts and verifies weights."""

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
        help="list the models that you can load",
        description="Lists the models that you can load, their licences, and where their weights are; on stderr, it "
        "adds what the bundled models know.",
    )
    command.set_defaults(run=list_weights)

    command = own.add_parser(
        "download",
        help="download published weights from their authors' page",
        description="Downloads published weights from their authors' page on the Hugging Face hub and verifies them; "
        "an interrupted download resumes. Prints the path of the file.",
    )
    command.set_defaults(run=download)
    command.add_argument("name", type=not_empty, metavar="NAME", help="a model from `esg weights list`")
    command.add_argument(
        "--folder", type=file_or_folder, metavar="DIR", help="where to put the file [$ESG_WEIGHTS, or esg in HF_HOME]"
    )
    command.add_argument(
        "--token",
        metavar="TOKEN",
        help="token of a Hugging Face account that has accepted the authors' terms [$HF_TOKEN, or the one from `hf "
        "auth login`]",
    )

    command = own.add_parser(
        "convert",
        help="turn a published .pth into safetensors",
        description="Turns a published .pth, or a weight file of a CropFormer or Mask2Former, into a safetensors file "
        "whose metadata names the model. Code inside the .pth is never executed.",
    )
    command.set_defaults(run=convert)
    command.add_argument("file", type=file_or_folder, metavar="FILE", help="the weights to convert")
    command.add_argument(
        "--out", type=file_or_folder, required=True, metavar="FILE.safetensors", help="the file to write"
    )
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")
    command.add_argument("--half", action="store_true", help="store the weights in fp16: half the size")

    command = own.add_parser(
        "verify",
        help="check that weights are complete and fit their model",
        description="Checks the weights against the SHA-256 recorded when they were downloaded, if there is one, loads "
        "them into their model, and prints a summary.",
    )
    command.set_defaults(run=verify)
    command.add_argument(
        "name", type=not_empty, metavar="NAME|FILE", help="a model from `esg weights list`, or a weight file"
    )


def list_weights(args: argparse.Namespace, console: Console) -> int:
    """Prints the table of models."""
    from ..models.zeroshot.folders import CLIP, LICENCES, WRITER, download_commands, find_model
    from ..weights.catalogue import CHECKPOINTS
    from ..weights.finding import list_checkpoints

    rows = [("NAME", "TASK", "LICENCE", "WEIGHTS")]
    for checkpoint, path in list_checkpoints():
        missing = "missing; reinstall ESG" if checkpoint.shipped else f"esg weights download {checkpoint.name}"
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
    """Downloads weights and prints the path of the file."""
    console.progress(f"Looking for {args.name} ...")
    from ..weights.downloading import download as fetch

    path = fetch(args.name, folder=args.folder, token=args.token, say=console.line)
    console.answer(str(path))
    return 0


def convert(args: argparse.Namespace, console: Console) -> int:
    """Converts a file and prints which model it holds."""
    earlier = check_result(args.out, overwrite=args.overwrite)
    console.progress(f"Reading {args.file} ...")
    from ..weights.converting import convert_file

    result = convert_file(args.file, args.out, half=args.half)
    size = result.path.stat().st_size / 2**20
    if earlier:
        console.line(f"{result.path} already existed and was replaced.")
    console.answer(f"{result.path}: {result.preset}, {result.parameters:,} parameters, {size:.1f} MiB")
    return 0


def verify(args: argparse.Namespace, console: Console) -> int:
    """Verifies weights and prints a summary."""
    console.progress(f"Reading {args.name} ...")
    from ..models.gella.checkpoint import read_gella
    from ..models.gella.file_kind import is_gella
    from ..weights import finding as weights
    from ..weights.loading import load_segmenter

    verified = weights.verify(args.name)
    if is_gella(verified.names, verified.metadata):
        read_gella(verified.path)
        name, task = verified.metadata.get("preset", verified.path.stem), "grounding"
    else:
        _, preset, name = load_segmenter(args.name)
        task = preset.task
    noted = "as recorded when it was downloaded" if verified.recorded else "no recorded value to compare with"
    console.answer(f"file        {verified.path}")
    console.answer(f"sha256      {verified.sha256} ({noted})")
    console.answer(f"model       {name} ({task}), every tensor fits")
    console.answer(f"parameters  {verified.parameters:,}")
    return 0
