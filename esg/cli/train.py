"""`esg train`: trains your own weights."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.errors import InputError
from ..training.settings import read_config
from .arguments import add_no_overwrite, file_or_folder, not_empty, positive, whole
from .console import Console
from .results import check_result, replaced

if TYPE_CHECKING:
    from ..training.task import Task

_SAMPLES = ("photos", "batch", "sizes", "texts", "seed")  # options that belong to the settings of the samples
_RUN = ("steps", "lr", "init", "device", "precision", "workers")  # and to those of the run


@dataclass(frozen=True)
class Family:
    """A kind of model that can be trained.

    Attributes:
        default: default settings of a run.
        presets: names of the architectures.
        task: function from settings and run folder to the task.
        faithful: function that sets everything as in the paper, for `--faithful`.
    """

    default: Any
    presets: Collection[str]
    task: Callable[[Any, Path], Task]
    faithful: Callable[[Any], Any] | None = None


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser("train", help="train a model", description="Trains a model.")
    own = parser.add_subparsers(metavar="MODEL", title="models", required=True)
    command = _command(own, "cropformer", "a CropFormer or an entity Mask2Former", batch=4, lr=0.0002)
    command.add_argument("--preset", type=not_empty, metavar="NAME", help="architecture: nano, swin-tiny, ... [nano]")
    command.add_argument(
        "--sizes",
        type=_sizes,
        metavar="HxW,...",
        help="view sizes in pixels, multiples of 32; each step draws one at random [192x192,192x288,288x192,256x256]",
    )
    command.add_argument(
        "--init", type=not_empty, metavar="FILE", help="weights of the same preset to start from [random]"
    )
    command = _command(own, "gella", "a GELLA, which writes captions and grounds them", batch=8, lr=0.0005)
    command.add_argument("--preset", type=not_empty, metavar="NAME", help="architecture: nano, 7b, 13b [nano]")
    command.add_argument("--texts", type=whole(1), metavar="N", help="texts per picture [1]")
    command.add_argument(
        "--init",
        type=not_empty,
        metavar="FILE|DIR",
        help="weights of the same preset to start from, or for 7b and 13b a LLaVA-1.5 folder as published by llava-hf "
        "[random; required for 7b and 13b]",
    )
    command.add_argument(
        "--faithful",
        action="store_true",
        help="set everything as in the paper, for 7b and 13b also the schedule; docs/recipes/README.md lists what this "
        "changes [train with the project's own improvements]",
    )


def _command(own: Any, family: str, what: str, batch: int, lr: float) -> argparse.ArgumentParser:
    """Adds a command with the options that all models share."""
    command: argparse.ArgumentParser = own.add_parser(
        family,
        help=f"train {what}",
        description="Trains on synthetic scenes and, if you give --photos, on segmented photos. Ctrl-C saves a "
        "checkpoint and stops. Called again with the same --out, the run resumes from there with its earlier settings, "
        "except for the options you give. The run folder holds config.json, checkpoint.pt, log.jsonl and plot.png.",
        epilog=f"On several GPUs: accelerate launch -m esg train {family} ...",
    )
    command.set_defaults(run=run, family=family)
    command.add_argument("--out", type=file_or_folder, metavar="RUN_DIR", help="folder of the run [runs/PRESET]")
    command.add_argument(
        "--config",
        type=file_or_folder,
        metavar="FILE.json",
        help="read all settings from this file, in the format of a run's config.json; the options here take precedence",
    )
    command.add_argument(
        "--photos",
        type=not_empty,
        nargs="+",
        metavar="DIR",
        help="folders of labelled photos: COCO's panoptic.json or instances.json beside images/, or photos ID.jpg with "
        "segmentations ID_0.png, ID_1.png ... [synthetic scenes only]",
    )
    command.add_argument("--steps", type=whole(1), metavar="N", help="number of training steps [20000]")
    command.add_argument("--batch", type=whole(1), metavar="N", help=f"pictures per step on each device [{batch}]")
    command.add_argument("--lr", type=positive, metavar="RATE", help=f"peak learning rate [{lr}]")
    command.add_argument("--seed", type=whole(0), metavar="N", help="random seed of the run [0]")
    command.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 ... [auto: CUDA if there is one]")
    command.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="precision of the network; fp16 needs a GPU [auto: bf16 on CUDA devices that support it, else fp32]",
    )
    command.add_argument("--workers", type=whole(0), metavar="N", help="number of processes that prepare pictures [1]")
    command.add_argument(
        "--export",
        type=file_or_folder,
        metavar="FILE.safetensors",
        help="write the averaged weights here when the run is done",
    )
    add_no_overwrite(command, "stop if the file of --export already exists [replace it, and say so]")
    return command


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains a model; returns 130 if interrupted before the last step."""
    if args.export and args.export.suffix.lower() != ".safetensors":
        raise InputError(f"--export writes a safetensors file; give {args.export} a name that ends in .safetensors.")
    from ..training.checkpoint import export, load_checkpoint
    from ..training.loop import train

    family = _FAMILIES[args.family]()
    config, run_dir = _configuration(args, family)
    # The folder of the weights is made only when they are written: a refused run leaves nothing behind.
    earlier = check_result(args.export, overwrite=args.overwrite) if args.export else 0
    task = family.task(config, run_dir)
    train(task, run_dir, progress=lambda done, total, what: console.progress(f"{what}: step {done}/{total}"))
    if os.environ.get("RANK", "0") != "0":  # only one of several processes reports and writes
        return 0
    state = load_checkpoint(run_dir)
    if state is None or state["step"] < config.steps:
        return 130
    if args.export:
        console.line(f"Written: {export(run_dir, task, args.export)}{replaced(earlier)}")
    return 0


def _cropformer() -> Family:
    from ..models.cropformer.config import PRESETS
    from ..training.cropformer import CropFormerTask, TrainConfig

    return Family(TrainConfig(), PRESETS, lambda config, _: CropFormerTask(config))


def _gella() -> Family:
    from ..models.gella.config import PRESETS
    from ..training.faithful import faithful
    from ..training.gella import GellaTask, GellaTrainConfig
    from ..training.heads import HeadsTask
    from ..training.vocabulary import run_tokenizer

    def task(config: GellaTrainConfig, run_dir: Path) -> GellaTask:
        return (HeadsTask if config.heads_pictures else GellaTask)(config, run_tokenizer(config, run_dir))

    return Family(GellaTrainConfig(), PRESETS, task, faithful)


_FAMILIES: dict[str, Callable[[], Family]] = {"cropformer": _cropformer, "gella": _gella}  # their imports are slow


def _configuration(args: argparse.Namespace, family: Family) -> tuple[Any, Path]:
    """The settings, from --config or the run being resumed and overridden by the options; and the run folder."""
    config = read_config(args.config, family.default) if args.config else family.default
    preset = _preset(args.preset or config.preset, args.family, family.presets)
    run_dir = args.out or Path("runs") / preset
    earlier = run_dir / "config.json"
    if not args.config and os.path.isfile(earlier):
        config = read_config(earlier, family.default)
    if family.faithful is not None and args.faithful:
        config = family.faithful(dataclasses.replace(config, preset=preset))
    samples = dataclasses.replace(config.samples, **_given(args, _SAMPLES))
    own = _given(args, _RUN) | ({"preset": preset} if args.preset else {})
    return dataclasses.replace(config, samples=samples, **own), run_dir


def _given(args: argparse.Namespace, names: Collection[str]) -> dict[str, Any]:
    found = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _preset(name: str, family: str, presets: Collection[str]) -> str:
    """The full name of a preset, whose family may be omitted; InputError if it does not exist."""
    full = f"{family}-{name}" if f"{family}-{name}" in presets else name
    if full not in presets:  # checked before a folder gets this name
        raise InputError(f"There is no preset {name!r}; use one of {', '.join(presets)}.")
    return full


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        sizes = [tuple(int(side) for side in size.split("x")) for size in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or any(len(size) != 2 or min(size) < 32 or size[0] % 32 or size[1] % 32 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 192x192,192x288 of multiples of 32")
    return tuple((height, width) for height, width in sizes)
