"""`esg batch`: segments any number of photos on one machine or a cluster, and resumes where it was."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..batch.layouts import LAYOUTS, ORDERS, SMALLEST
from ..batch.places import is_url
from ..batch.settings import FORMATS, Settings
from ..support.errors import InputError
from .arguments import (
    DASHES,
    add_crops,
    add_machine,
    add_max_pixels,
    add_view_sizes,
    fraction,
    machine_of,
    names,
    not_empty,
    positive,
    whole,
)
from .console import Console

_FAILED = 2  # exit status
_SECONDS_BETWEEN = 60  # lines of progress where stderr is not a terminal


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "batch",
        help="segment any number of photos, on one machine or a cluster",
        description="Segments any number of photos with Ray Data, on this machine or on a cluster. The results are "
        "Parquet tables, label PNGs, or both. To resume a run that was stopped, give the same command again; no photo "
        "is lost or repeated. Photos that cannot be used are listed in the table OUT/errors. Ray Data comes with `pip "
        "install 'esg[batch]'`.",
        epilog=f"The exit status is 2 if photos could not be used. {DASHES}",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "inputs",
        type=not_empty,
        nargs="+",
        metavar="IN",
        help="picture, folder, pattern, WebDataset tar, Parquet file with pictures, URL such as s3://bucket/folder, or "
        "@FILE, a text file that lists these",
    )
    parser.add_argument("out", type=not_empty, metavar="OUT", help="output folder, or URL of an object store")
    parser.add_argument(
        "--format",
        type=_formats,
        default="parquet",
        metavar="KINDS",
        help="parquet: a table with scores, boxes and RLEs; png: an 8-bit label PNG for each photo; or parquet,png "
        "[parquet]",
    )
    parser.add_argument(
        "--image-column",
        type=not_empty,
        metavar="NAME",
        help="column of Parquet files that holds pictures, paths or URLs [the column that holds pictures]",
    )
    parser.add_argument(
        "--stride", type=whole(1), default=1, metavar="N", help="use every N-th picture of each folder [1]"
    )
    parser.add_argument(
        "--retry-errors",
        action="store_true",
        help="recompute the shards in which some photos could not be used [leave them as they are]",
    )
    add_max_pixels(parser)
    _add_labels(parser)
    _add_model(parser)
    _add_words(parser)
    _add_workers(parser)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    labels = parser.add_argument_group("label PNGs")
    labels.add_argument(
        "--layout",
        choices=tuple(LAYOUTS),
        default="flat",
        help="where they are written: "
        + "; ".join(f"{name}: OUT/{place}" for name, place in LAYOUTS.items())
        + " [flat]",
    )
    labels.add_argument(
        "--order",
        choices=tuple(ORDERS),
        help="; ".join(f"{name}: {what}" for name, what in ORDERS.items()) + " [best-first; best-last with --layout "
        "maskclustering or instascene]",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="a name from `esg weights list`, or a weight file; it must be on every machine [cropformer-nano]",
    )
    add_crops(model)
    add_view_sizes(model)
    model.add_argument(
        "--min-score", type=fraction, metavar="S", help="drop entities below this score, 0 to 1 [the model's default]"
    )
    model.add_argument(
        "--min-area",
        type=whole(0),
        metavar="PIXELS",
        help=f"drop entities with fewer pixels [0; {SMALLEST} with --layout maskclustering or instascene]",
    )


def _add_words(parser: argparse.ArgumentParser) -> None:
    words = parser.add_argument_group("words", "give --captions or --phrases, not both")
    one = words.add_mutually_exclusive_group()
    one.add_argument("--captions", action="store_true", help="write a caption for each photo, and ground its nouns")
    one.add_argument("--phrases", type=names, default=[], metavar='"A, B"', help="ground these phrases in each photo")
    words.add_argument(
        "--grounder",
        type=not_empty,
        default="gella-nano",
        metavar="NAME|FILE",
        help="the model for words, which must be on every machine [gella-nano]",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    machine = add_machine(parser, "auto, cpu, cuda or mps; Ray chooses the GPU of each worker")
    machine.add_argument(
        "--workers",
        type=whole(1),
        metavar="N",
        help="number of workers; each loads the models [as many as the GPUs or CPUs allow]",
    )
    machine.add_argument(
        "--threads", type=whole(1), metavar="N", help="CPU threads of each worker [4, or fewer if there are fewer CPUs]"
    )
    machine.add_argument(
        "--gpus",
        type=_share,
        metavar="SHARE",
        help="GPUs of each worker; 0.25 puts four workers on a GPU, 0 uses the CPUs [1, if there are GPUs]",
    )
    machine.add_argument(
        "--address", type=not_empty, metavar="ADDRESS", help="join the Ray cluster at this address [this machine alone]"
    )
    machine.add_argument(
        "--shard-photos",
        type=whole(1),
        metavar="N",
        help="photos that are written together, as a shard; a stopped run loses at most the unfinished shards [16 to "
        "1000, fewer if there are few photos]",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Runs or resumes a run; returns 2 if photos could not be used."""
    from ..batch.cluster import Workers, import_ray
    from ..batch.cluster import run as run_on_ray
    from ..batch.inputs import list_sources
    from ..batch.pace import Pace, duration, speed
    from ..batch.running import Run
    from ..batch.worker import check_models
    from .results import check_folder

    began = time.monotonic()
    settings = _settings_of(args)
    console.progress("Starting Ray ...")
    workers = Workers(args.workers, args.threads, args.gpus, args.address)
    import_ray(workers)
    if not is_url(args.out):
        check_folder(Path(args.out))
    check_models(settings)
    console.progress("Listing the inputs ...")
    sources = list_sources(args.inputs, out=args.out, stride=args.stride, image_column=args.image_column)
    planned = Run(
        sources,
        settings,
        args.out,
        workers=args.workers or 4,
        photos_each=args.shard_photos,
        retry_errors=args.retry_errors,
    )
    done = len(planned.shards) - len(planned.waiting)
    console.line(f"{done} of {len(planned.shards)} shards are already done; results go to {args.out}")
    pace, reported = Pace(planned.waiting), time.monotonic()
    console.progress("Starting the workers ...")
    for summary in planned.work(lambda shards: run_on_ray(shards, settings, args.out, workers)):
        pace.add(summary)
        console.progress(pace.line())
        if not console.live and time.monotonic() - reported > _SECONDS_BETWEEN:
            console.line(pace.line())
            reported = time.monotonic()
    if planned.waiting:
        rate = f", {speed(pace.rate)} without the start-up" if pace.rate else ""
        console.line(
            f"{pace.photos:,} photos, {pace.entities:,} entities, {pace.errors:,} photos that could not be used; "
            f"{duration(time.monotonic() - began)} in all{rate}"
        )
    if planned.has_errors:
        console.complain(f"Some photos could not be used; {args.out}/errors says which and why.")
        return _FAILED
    return 0


def _settings_of(args: argparse.Namespace) -> Settings:
    """The options of `add` that decide what is written; InputError if one is wrong."""
    if args.device.startswith("cuda:"):
        raise InputError("Ray chooses the GPU of each worker; use --device cuda, and --gpus for a worker's share.")
    frames = args.layout != "flat"
    area = args.min_area
    if area is None:
        area = SMALLEST if frames and "png" in args.format else 0
    return Settings(
        model=_file_or_name(args.model),
        **machine_of(args),
        crops=args.crops,
        size=args.size,
        max_size=args.max_size,
        min_score=args.min_score,
        min_area=area,
        max_pixels=args.max_pixels,
        captions=args.captions,
        phrases=tuple(args.phrases),
        grounder=_file_or_name(args.grounder),
        formats=tuple(args.format),
        layout=args.layout,
        stride=args.stride,
        order=args.order or ("best-last" if frames else "best-first"),
    )


def _file_or_name(model: str) -> str:
    """A model that a worker in another folder finds, too."""
    from ..support.files import at_home

    path = at_home(model)
    return str(path.absolute()) if path.exists() else model


def _formats(text: str) -> list[str]:
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    if not kinds or set(kinds) - set(FORMATS):
        raise argparse.ArgumentTypeError(f"{text!r} is not parquet, png or parquet,png")
    return sorted(set(kinds))


def _share(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else positive(text)
