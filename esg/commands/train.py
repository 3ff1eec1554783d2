"""`esg train`: making weights of one's own."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files import check_place
from .arguments import positive, whole
from .console import Console

if TYPE_CHECKING:
    from ..training.cropformer import TrainConfig


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser("train", help="train a model", description="Trains a model.")
    own = parser.add_subparsers(metavar="MODEL", title="models", required=True)
    command = own.add_parser(
        "cropformer",
        help="train a CropFormer or an entity Mask2Former",
        description="Trains on synthetic scenes and, if there are any, on segmented photos. Ctrl-C ends a run with a "
        "checkpoint; called again with the same --out it goes on from there with the settings of that run, except "
        "those given anew. The folder of a run holds config.json, checkpoint.pt, log.jsonl and plot.png.",
        epilog="Several GPUs: accelerate launch -m esg train cropformer ...",
    )
    command.set_defaults(run=run)
    command.add_argument("--out", type=Path, metavar="RUN_DIR", help="folder of the run [runs/PRESET]")
    command.add_argument("--preset", metavar="NAME", help="architecture: nano, swin-tiny, ... [nano]")
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE.json",
        help="all settings, written like the config.json of a run; the options here take precedence",
    )
    command.add_argument(
        "--photos",
        metavar="DIR",
        help="photos ID.jpg with segmentations ID_0.png, ID_1.png ... [synthetic scenes only]",
    )
    command.add_argument("--steps", type=whole(1), metavar="N", help="length of the run [20000]")
    command.add_argument("--batch", type=whole(1), metavar="N", help="pictures a step on each device [4]")
    command.add_argument(
        "--sizes",
        type=_sizes,
        metavar="HxW,...",
        help="sizes of the views in pixels, multiples of 32, one of which is drawn for a step "
        "[192x192,192x288,288x192,256x256]",
    )
    command.add_argument("--lr", type=positive, metavar="RATE", help="peak learning rate [0.0002]")
    command.add_argument("--seed", type=whole(0), metavar="N", help="of everything that is drawn [0]")
    command.add_argument("--init", metavar="FILE", help="weights of the same preset to start from [random]")
    command.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 ... [auto: CUDA if there is one]")
    command.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="of the network; fp16 needs a GPU [auto: bf16 on CUDA devices made for it, else fp32]",
    )
    command.add_argument("--workers", type=whole(0), metavar="N", help="processes that draw pictures [1]")
    command.add_argument(
        "--export", type=Path, metavar="FILE.safetensors", help="write the averaged weights here when the run is done"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains; 130 if it was interrupted before the last step."""
    if args.export and args.export.suffix.lower() != ".safetensors":
        raise InputError(f"--export writes a safetensors file, and {args.export} is not called so.")
    from ..training.checkpoint import export, load_checkpoint
    from ..training.cropformer import CropFormerTask
    from ..training.loop import train

    config, run_dir = _configuration(args)
    if args.export:
        check_place(args.export)  # its folder is made when the weights are written: a refused run leaves nothing
    task = CropFormerTask(config)
    train(task, run_dir, progress=lambda done, total, what: console.progress(f"{what}: step {done}/{total}"))
    if os.environ.get("RANK", "0") != "0":  # of several processes one speaks and writes
        return 0
    state = load_checkpoint(run_dir)
    if state is None or state["step"] < config.steps:
        return 130
    if args.export:
        console.line(f"Written: {export(run_dir, task, args.export)}")
    return 0


def _configuration(args: argparse.Namespace) -> tuple[TrainConfig, Path]:
    """The settings of --config or of the run that goes on, with the options laid over them; and the run's folder."""
    from ..training.cropformer import TrainConfig

    config = read_config(args.config) if args.config else TrainConfig()
    run_dir = args.out or Path("runs") / _preset(args.preset or config.preset)
    earlier = run_dir / "config.json"
    if not args.config and earlier.is_file():
        config = read_config(earlier)
    samples = {"photos": args.photos, "batch": args.batch, "sizes": args.sizes, "seed": args.seed}
    own = {name: getattr(args, name) for name in ("steps", "lr", "init", "device", "precision", "workers")}
    if args.preset:
        own["preset"] = _preset(args.preset)
    samples_config = dataclasses.replace(config.samples, **_given(samples))
    return dataclasses.replace(config, samples=samples_config, **_given(own)), run_dir


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _preset(name: str) -> str:
    """The full name of a preset, whose `cropformer-` may be left out; InputError if there is none."""
    from ..cropformer.config import PRESETS

    full = f"cropformer-{name}" if f"cropformer-{name}" in PRESETS else name
    if full not in PRESETS:  # before a folder is called so
        raise InputError(f"There is no preset {name!r}; use one of {', '.join(PRESETS)}.")
    return full


def read_config(path: Path) -> TrainConfig:
    """Reads a `TrainConfig` from JSON; what is not in the file keeps its default.

    Raises:
        InputError: the file cannot be read, or has an unknown name or a value of a wrong kind or out of its range.
    """
    from ..training.cropformer import TrainConfig

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON file ({error}).") from None
    return _filled(TrainConfig(), values, str(path))


def _filled(default: Any, values: Any, where: str) -> Any:
    """The dataclass `default` with the values of a JSON object, and the same for the dataclasses in it."""
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a JSON object, not {values!r}.")
    names = [field.name for field in dataclasses.fields(default)]
    for name in values:
        if name not in names:
            raise InputError(f"{where} has an unknown setting {name!r}; there are {', '.join(names)}.")
    return dataclasses.replace(
        default, **{name: _checked(getattr(default, name), value, f"{where}: {name}") for name, value in values.items()}
    )


def _checked(default: Any, value: Any, where: str) -> Any:
    """A value of JSON as the kind that the default has; None stands for "no text"."""
    if dataclasses.is_dataclass(default):
        return _filled(default, value, where)
    if isinstance(default, tuple) and isinstance(value, list) and value:
        return tuple(_checked(default[0], item, where) for item in value)
    if default is None or isinstance(default, str):
        fits = isinstance(value, str) or (default is None and value is None)
    elif isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    else:
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if not fits:
        raise InputError(f"{where} is {value!r}, but should be like {json.dumps(default)}.")
    return value


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        sizes = [tuple(int(side) for side in size.split("x")) for size in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or any(len(size) != 2 or min(size) < 32 or size[0] % 32 or size[1] % 32 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 192x192,192x288 of multiples of 32")
    return tuple((height, width) for height, width in sizes)
