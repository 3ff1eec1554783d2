"""`esg train`: trains your own weights."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.errors import InputError
from ..training.settings import read_config
from .arguments import add_no_overwrite, file_or_folder, fraction, not_empty, positive, whole
from .console import Console
from .results import check_result, replaced

if TYPE_CHECKING:
    from ..training.task import Task

# Options that are settings of the samples, and options that are settings of the run.
_SAMPLES = ("photos", "captions", "narratives", "expressions", "mask_noise", "batch", "sizes", "texts", "seed")
_RUN = ("steps", "lr", "init", "device", "precision", "workers")


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser("train", help="train a model", description="Trains a model.")
    own = parser.add_subparsers(metavar="MODEL", title="models", required=True)
    _add_cropformer(own)
    _add_gella(own)


def _add_cropformer(own: Any) -> None:
    command = _command(
        own,
        "cropformer",
        "a CropFormer or an entity Mask2Former",
        steps="20000; 103125 for published presets",
        batch="4; for published presets 16 on all devices together",
        lr=0.0002,
    )
    command.set_defaults(run=train_cropformer)
    command.add_argument(
        "--preset",
        type=not_empty,
        metavar="NAME",
        help="architecture: nano, swin-tiny, ... [that of --init, or else nano]; published presets have the published "
        "settings",
    )
    command.add_argument(
        "--sizes",
        type=_sizes,
        metavar="HxW,...",
        help="view sizes in pixels, multiples of 32; each step draws one at random [192x192,192x288,288x192,256x256; "
        "for published presets and fine-tuning, photos keep their aspect ratio instead]",
    )
    command.add_argument(
        "--init",
        type=not_empty,
        metavar="NAME|FILE",
        help="weights to start from: a name from `esg weights list`, weights of the same preset, a Mask2Former, a "
        "published .pth, or an ImageNet backbone (Swin, ResNet-50, HorNet) [random]",
    )
    command.add_argument(
        "--val",
        type=not_empty,
        nargs="+",
        metavar="FILE|DIR",
        help="labelled photos to measure on during training; the best weights are kept as best.safetensors "
        "[scenes; in fine-tuning, some of --photos]",
    )
    command.add_argument(
        "--fine-tune",
        action=argparse.BooleanOptionalAction,
        help="use settings for few photos: a short run with a low rate, first stages frozen, some photos held out and "
        "measured, and the best weights kept [if you give --init and fewer than 2000 --photos, but no --config]",
    )


def _add_gella(own: Any) -> None:
    command = _command(own, "gella", "a GELLA, which writes captions and grounds them", steps=20000, batch=8, lr=0.0005)
    command.set_defaults(run=train_gella)
    command.add_argument("--preset", type=not_empty, metavar="NAME", help="architecture: nano, 7b, 13b [nano]")
    command.add_argument("--texts", type=whole(1), metavar="N", help="texts per picture [1]")
    command.add_argument(
        "--captions",
        type=not_empty,
        nargs="+",
        metavar="FILE.json",
        help="captions of the photos: COCO's, LLaVA's conversations, or a list by file name, with or without nouns",
    )
    command.add_argument(
        "--narratives",
        type=not_empty,
        nargs="+",
        metavar="FILE.json",
        help="panoptic narratives, such as png_coco_train2017.json, with COCO's panoptic files nearby",
    )
    command.add_argument(
        "--expressions",
        type=not_empty,
        nargs="+",
        metavar="DIR",
        help="expressions and questions about photos: folders of RefCOCO, RefCOCO+, RefCOCOg or ReasonSeg; their "
        "training parts are used, each folder equally often",
    )
    command.add_argument(
        "--masks",
        type=file_or_folder,
        metavar="DIR|FILE",
        help="masks of another segmenter instead of the true ones: a folder with a file or a folder of masks for each "
        "photo, named after it, or a file about all photos, such as COCO's [true masks]",
    )
    command.add_argument(
        "--segmenter",
        type=not_empty,
        metavar="NAME|FILE",
        help="model that finds such masks during training, on the CPU [none]",
    )
    command.add_argument(
        "--mask-noise",
        type=fraction,
        metavar="SHARE",
        help="share of pictures, 0 to 1, that get these masks instead of the true ones; without --masks and "
        "--segmenter, they get distorted true masks [1 with --masks or --segmenter, else 0]",
    )
    command.add_argument(
        "--init",
        type=not_empty,
        metavar="NAME|FILE|DIR",
        help="weights of the same preset to start from, such as gella-nano, or for 7b and 13b a LLaVA-1.5 folder as "
        "published by llava-hf [random; required for 7b and 13b]",
    )
    command.add_argument(
        "--faithful",
        action="store_true",
        help="use the paper's settings throughout, for 7b and 13b its schedule too; docs/recipes/README.md lists what "
        "this changes [train with the project's own improvements]",
    )


def _command(
    own: Any, family: str, what: str, steps: int | str, batch: int | str, lr: float
) -> argparse.ArgumentParser:
    """Adds a command with the options that all models share."""
    command: argparse.ArgumentParser = own.add_parser(
        family,
        help=f"train {what}",
        description="Trains on synthetic scenes and, if you give --photos, on labelled photos. Ctrl-C saves a "
        "checkpoint and stops. To resume, run the command again with the same --out: the earlier settings apply, "
        "except for the options you give. The run folder holds config.json, checkpoint.pt, log.jsonl and plot.png.",
        epilog=f"On several GPUs: accelerate launch -m esg train {family} ...",
    )
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
        metavar="FILE|DIR",
        help="labelled photos: COCO JSON files, or folders in a form that docs/data.md lists [synthetic scenes only]",
    )
    command.add_argument("--steps", type=whole(1), metavar="N", help=f"number of training steps [{steps}]")
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
        help="file for the averaged weights, or for the best ones if they are kept, when the run is done",
    )
    add_no_overwrite(command, "stop if the file of --export already exists [replace it, and say so]")
    return command


def _samples_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of the samples that were given as options."""
    return _given({name: getattr(args, name, None) for name in _SAMPLES})  # each model has some of these options


def _run_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of the run that were given as options."""
    return _given({name: getattr(args, name) for name in _RUN})


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in settings.items() if value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def train_cropformer(args: argparse.Namespace, console: Console) -> int:
    """Trains a CropFormer or an entity Mask2Former; returns 130 if interrupted before the last step."""
    _check_export(args.export)
    from ..models.cropformer.config import PRESETS
    from ..training.cropformer import CropFormerTask
    from ..training.cropformer_init import read_start
    from ..training.defaults import fine_tuning, settings_for

    named = args.preset or _preset_in(_settings_file(args.config, args.out), settings_for("cropformer-nano"))
    if named is None and args.init:
        named = read_start(args.init)[1]  # the preset that these weights fit exactly
    preset = _preset(named or "cropformer-nano", "cropformer", PRESETS)
    few = _fine_tuned_on(args.photos, args.init, args.config, args.fine_tune)
    run_dir = args.out or Path("runs") / (f"{preset}-{Path(args.photos[0]).resolve().stem}" if few else preset)
    config = settings_for(preset)
    if (file := _settings_file(args.config, run_dir)) is not None:
        config = read_config(file, config)
    elif few:
        config = fine_tuning(config, few, args.steps, hold_out=not args.val)
    samples = dataclasses.replace(config.samples, **_samples_of(args))
    if args.sizes:
        samples = dataclasses.replace(samples, short=())
    own = _run_of(args) | ({"preset": preset} if args.preset else {})
    config = dataclasses.replace(config, samples=samples, **own)
    if args.val:
        config = _measured_on(config, args.val)
    return _train(config, lambda: CropFormerTask(config), run_dir, args.export, args.overwrite, console)


def train_gella(args: argparse.Namespace, console: Console) -> int:
    """Trains a GELLA; returns 130 if interrupted before the last step."""
    _check_export(args.export)
    from ..models.gella.config import PRESETS
    from ..training.faithful import faithful
    from ..training.gella import GellaTask, GellaTrainConfig
    from ..training.heads import HeadsTask
    from ..training.run_tokenizer import run_tokenizer

    default = GellaTrainConfig(preset="gella-nano")
    named = args.preset or _preset_in(_settings_file(args.config, args.out), default)
    preset = _preset(named or default.preset, "gella", PRESETS)
    run_dir = args.out or Path("runs") / preset
    config = GellaTrainConfig(preset=preset)
    if (file := _settings_file(args.config, run_dir)) is not None:
        config = read_config(file, config)
    if args.faithful:
        config = faithful(dataclasses.replace(config, preset=preset))
    samples = dataclasses.replace(config.samples, **_samples_of(args))
    samples = _other_masks(samples, args.masks, args.segmenter, args.mask_noise)
    own = _run_of(args) | ({"preset": preset} if args.preset else {})
    config = dataclasses.replace(config, samples=samples, **own)
    _refuse_unusable(config.samples)
    task = HeadsTask if config.heads_pictures else GellaTask
    return _train(
        config,
        lambda: task(config, run_tokenizer(config, run_dir)),
        run_dir,
        args.export,
        args.overwrite,
        console,
    )


def _check_export(path: Path | None) -> None:
    """Raises InputError unless the name says that this is a safetensors file."""
    if path and path.suffix.lower() != ".safetensors":
        raise InputError(f"--export writes a safetensors file; give {path} a name that ends in .safetensors.")


def _train(
    config: Any, make: Callable[[], Task], run_dir: Path, file: Path | None, overwrite: bool, console: Console
) -> int:
    """Trains, and writes the weights to a file if there is one; returns the exit status of the command.

    Args:
        config: the settings.
        make: function that makes the task.
        run_dir: folder of the run.
        file: file for the weights.
        overwrite: whether this file may be replaced.
        console: where messages go.
    """
    from ..training.checkpoint import export, load_checkpoint
    from ..training.loop import train
    from ..training.run_folder import BEST

    # The folder of the weights is made only when they are written: a refused run leaves nothing behind.
    earlier = check_result(file, overwrite=overwrite) if file else 0
    task = make()
    train(task, run_dir, progress=lambda done, total, what: console.progress(f"{what}: step {done}/{total}"))
    if os.environ.get("RANK", "0") != "0":  # only one of several processes reports and writes
        return 0
    state = load_checkpoint(run_dir)
    if state is None or state["step"] < config.steps:
        return 130
    if file:
        console.line(f"Written: {export(run_dir, task, file)}{replaced(earlier)}")
    elif config.keep_best and os.path.isfile(best := run_dir / BEST):
        console.line(f"The best weights are in {best}; use them with `esg segment PHOTO --model {best}`.")
    return 0


def _refuse_unusable(samples: Any) -> None:
    """Raises InputError, before the tokenizer is trained, if a file does not exist or has unusable expressions."""
    from ..data.opening import FORMS
    from ..data.opening_expressions import EXPRESSION_FORMS
    from ..training.narratives import opened_expressions

    masks = () if samples.masks is None else (samples.masks,)
    for share, paths, forms in (
        (samples.photo_share, samples.photos, FORMS),
        (samples.photo_share, samples.captions, "a JSON file with captions"),
        (samples.narrative_share, samples.narratives, "png_coco_train2017.json"),
        (samples.expression_share, samples.expressions, EXPRESSION_FORMS),
        (1, masks, "a folder or a file of masks"),
    ):
        for path in paths:
            if share > 0 and not os.path.exists(path):
                raise InputError(f"{path} does not exist; give {forms}.")
    opened_expressions(samples)


def _settings_file(config: Path | None, run_dir: Path | None) -> Path | None:
    """The file with the settings to start from: --config, or that of the run to resume; None if there is none."""
    if config is not None:
        return config
    return run_dir / "config.json" if run_dir is not None and os.path.isfile(run_dir / "config.json") else None


def _preset_in(file: Path | None, default: Any) -> str | None:
    return None if file is None else read_config(file, default).preset


def _other_masks(samples: Any, masks: Path | None, segmenter: str | None, mask_noise: float | None) -> Any:
    """The settings of the samples with the source of masks that --masks or --segmenter names, in place of another."""
    if masks is None and segmenter is None:
        return samples
    if masks is not None and segmenter is not None:
        raise InputError("Give --masks or --segmenter, not both.")
    share = samples.mask_noise if mask_noise is not None or samples.mask_noise else 1.0
    return dataclasses.replace(
        samples, masks=None if masks is None else str(masks), segmenter=segmenter, mask_noise=share
    )


def _fine_tuned_on(photos: list[str] | None, init: str | None, config: Path | None, fine_tune: bool | None) -> int:
    """The number of photos that a CropFormer is to be fine-tuned on; 0 for a run of another kind."""
    from ..training.defaults import FEW
    from ..training.photo_split import PhotoSplit

    if not init or not photos or config:
        if fine_tune:
            raise InputError("--fine-tune needs --init and --photos, and cannot be combined with --config.")
        return 0
    if fine_tune is False:
        return 0
    count = len(PhotoSplit(photos))
    return count if fine_tune or count < FEW else 0


def _measured_on(config: Any, folders: Collection[str]) -> Any:
    """The settings with photos to measure on; the best weights are kept."""
    from ..training.defaults import crops_help

    return dataclasses.replace(
        config,
        measure=dataclasses.replace(config.measure, photos=tuple(folders)),
        samples=dataclasses.replace(config.samples, held_out=0.0),
        keep_best="AP_boc" if crops_help(config) else "AP_io",
    )


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
