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
from .arguments import add_no_overwrite, file_or_folder, fraction, not_empty, positive, whole
from .console import Console
from .results import check_result, replaced

if TYPE_CHECKING:
    from ..training.task import Task

_SAMPLES = (
    "photos",
    "captions",
    "narratives",
    "expressions",
    "mask_noise",
    "batch",
    "sizes",
    "texts",
    "seed",
)  # options that belong to the settings of the samples
_RUN = ("steps", "lr", "init", "device", "precision", "workers")  # and to those of the run


@dataclass(frozen=True)
class Family:
    """A kind of model that can be trained.

    Attributes:
        default: name of the preset that is trained if none is named.
        settings: function from a preset to its default settings.
        presets: names of the architectures.
        task: function from settings and run folder to the task.
        faithful: function that sets everything as in the paper, for `--faithful`.
    """

    default: str
    settings: Callable[[str], Any]
    presets: Collection[str]
    task: Callable[[Any, Path], Task]
    faithful: Callable[[Any], Any] | None = None


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
        help="panoptic narratives with COCO's panoptic files near them: png_coco_train2017.json",
    )
    command.add_argument(
        "--expressions",
        type=not_empty,
        nargs="+",
        metavar="DIR",
        help="expressions and questions about photos: folders of RefCOCO, RefCOCO+, RefCOCOg or ReasonSeg, whose "
        "training part is used, each equally often",
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
        help="model that finds such masks during the training, on the CPU [none]",
    )
    command.add_argument(
        "--mask-noise",
        type=fraction,
        metavar="SHARE",
        help="share of the pictures with other masks, from 0 to 1; without --masks and --segmenter, the true masks are "
        "distorted [1 with --masks or --segmenter, else 0]",
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
        help="set everything as in the paper, for 7b and 13b also the schedule; docs/recipes/README.md lists what this "
        "changes [train with the project's own improvements]",
    )


def _command(
    own: Any, family: str, what: str, steps: int | str, batch: int | str, lr: float
) -> argparse.ArgumentParser:
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
        help="write the averaged weights, or the best ones if they are kept, here when the run is done",
    )
    add_no_overwrite(command, "stop if the file of --export already exists [replace it, and say so]")
    return command


def run(args: argparse.Namespace, console: Console) -> int:
    """Trains a model; returns 130 if interrupted before the last step."""
    if args.export and args.export.suffix.lower() != ".safetensors":
        raise InputError(f"--export writes a safetensors file; give {args.export} a name that ends in .safetensors.")
    from ..training.checkpoint import export, load_checkpoint
    from ..training.loop import train
    from ..training.run_folder import BEST

    family = _FAMILIES[args.family]()
    config, run_dir = _configuration(args, family)
    if args.family == "gella":
        _refuse_unusable(config.samples)
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
    elif config.keep_best and os.path.isfile(best := run_dir / BEST):
        console.line(f"The best weights are in {best}; use them with `esg segment PHOTO --model {best}`.")
    return 0


def _refuse_unusable(samples: Any) -> None:
    """Raises InputError if a file of the samples is missing or not sufficient, before the tokenizer is trained."""
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


def _cropformer() -> Family:
    from ..models.cropformer.config import PRESETS
    from ..training.cropformer import CropFormerTask
    from ..training.defaults import settings_for

    return Family("cropformer-nano", settings_for, PRESETS, lambda config, _: CropFormerTask(config))


def _gella() -> Family:
    from ..models.gella.config import PRESETS
    from ..training.faithful import faithful
    from ..training.gella import GellaTask, GellaTrainConfig
    from ..training.heads import HeadsTask
    from ..training.run_tokenizer import run_tokenizer

    def task(config: GellaTrainConfig, run_dir: Path) -> GellaTask:
        return (HeadsTask if config.heads_pictures else GellaTask)(config, run_tokenizer(config, run_dir))

    return Family("gella-nano", lambda preset: GellaTrainConfig(preset=preset), PRESETS, task, faithful)


_FAMILIES: dict[str, Callable[[], Family]] = {"cropformer": _cropformer, "gella": _gella}  # their imports are slow


def _configuration(args: argparse.Namespace, family: Family) -> tuple[Any, Path]:
    """The settings, from --config or the run being resumed and overridden by the options; and the run folder."""
    named = args.preset or _preset_of_files(args, family) or family.default
    preset = _preset(named, args.family, family.presets)
    config = family.settings(preset)
    photos = _few_photos(args) if args.family == "cropformer" else 0
    folder = f"{preset}-{Path(args.photos[0]).resolve().stem}" if photos else preset
    run_dir = args.out or Path("runs") / folder
    earlier = run_dir / "config.json"
    if args.config:
        config = read_config(args.config, config)
    elif os.path.isfile(earlier):
        config = read_config(earlier, config)
    elif photos:
        from ..training.defaults import fine_tuning

        config = fine_tuning(config, photos, args.steps, hold_out=not args.val)
    if family.faithful is not None and args.faithful:
        config = family.faithful(dataclasses.replace(config, preset=preset))
    samples = dataclasses.replace(config.samples, **_given(args, _SAMPLES))
    if args.family == "gella":
        samples = _other_masks(samples, args)
    if getattr(args, "sizes", None):
        samples = dataclasses.replace(samples, short=())
    own = _given(args, _RUN) | ({"preset": preset} if args.preset else {})
    config = dataclasses.replace(config, samples=samples, **own)
    return _measured_on(config, args.val) if getattr(args, "val", None) else config, run_dir


def _other_masks(samples: Any, args: argparse.Namespace) -> Any:
    """The settings of the samples with the source of masks that --masks or --segmenter names, in place of another."""
    if args.masks is None and args.segmenter is None:
        return samples
    if args.masks is not None and args.segmenter is not None:
        raise InputError("Give --masks or --segmenter, not both.")
    masks = None if args.masks is None else str(args.masks)
    share = samples.mask_noise if args.mask_noise is not None or samples.mask_noise else 1.0
    return dataclasses.replace(samples, masks=masks, segmenter=args.segmenter, mask_noise=share)


def _preset_of_files(args: argparse.Namespace, family: Family) -> str | None:
    """The preset in --config or, for a new CropFormer, the one that the weights of --init fit exactly."""
    if args.config:
        return read_config(args.config, family.settings(family.default)).preset
    if args.out and os.path.isfile(args.out / "config.json"):
        return read_config(args.out / "config.json", family.settings(family.default)).preset
    if args.family == "cropformer" and args.init:
        from ..training.cropformer_init import read_start

        return read_start(args.init)[1]
    return None


def _few_photos(args: argparse.Namespace) -> int:
    """The number of photos that a CropFormer is to be fine-tuned on; 0 for a run of another kind."""
    from ..training.defaults import FEW
    from ..training.photo_split import PhotoSplit

    possible = args.init and args.photos and not args.config
    if args.fine_tune and not possible:
        raise InputError("--fine-tune needs --init and --photos, and cannot be combined with --config.")
    if not possible or args.fine_tune is False:
        return 0
    count = len(PhotoSplit(args.photos))
    return count if args.fine_tune or count < FEW else 0


def _measured_on(config: Any, folders: Collection[str]) -> Any:
    """The settings with photos to measure on; the best weights are kept."""
    from ..training.defaults import crops_help

    return dataclasses.replace(
        config,
        measure=dataclasses.replace(config.measure, photos=tuple(folders)),
        samples=dataclasses.replace(config.samples, held_out=0.0),
        keep_best="AP_boc" if crops_help(config) else "AP_io",
    )


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
