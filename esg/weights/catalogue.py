"""The models that can be loaded by name, where they are published, and their licences."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from ..support.errors import WeightsError

HUB_REPOSITORY = "qqlu1992/Adobe_EntitySeg"  # a *dataset* repository of the Hugging Face hub
HUB_FOLDER = "CropFormer_model"
HUB_PAGE = f"https://huggingface.co/datasets/{HUB_REPOSITORY}"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pkl")  # in the order of preference


@dataclass(frozen=True)
class Checkpoint:
    """Weights that can be loaded by name.

    Attributes:
        name: as in the `PRESETS` of `esg.models.cropformer.config`, or of `esg.models.gella.config` for grounding.
        task: "entity", "instance", "semantic", "panoptic" or "grounding".
        pattern: regular expression for the path of the published file within its task, in lower case; empty for the
            weights that ship with the package. File names contain a hash, so they are searched, not listed here.
        licence: name of the licence.
        credit: the authors, and where to find the licence.
        knows: one sentence, shown by page, nodes and command line, on what weights that ship know; empty for others.
    """

    name: str
    task: str = "entity"
    pattern: str = ""
    licence: str = "CC BY-NC 4.0"
    credit: str = (
        f"Lu Qi et al., High-Quality Entity Segmentation, ICCV 2023; {HUB_PAGE}; "
        "https://creativecommons.org/licenses/by-nc/4.0/ (no commercial use)"
    )
    knows: str = ""

    @property
    def shipped(self) -> bool:
        """Whether the weights come with the package."""
        return not self.pattern

    def matches(self, path: str) -> bool:
        """Whether `path`, relative to a folder of weights, is the published file or one named after the checkpoint."""
        path = path.lower()
        if Path(path).suffix not in SUFFIXES:
            return False
        if Path(path).stem == self.name:
            return True
        # Each task has its own folder on the hub; a file without a task in its path is an entity model.
        task = next((task for task in ("instance", "semantic", "panoptic") if task in path), "entity")
        return not self.shipped and task == self.task and re.search(self.pattern, path) is not None


# Parts of the patterns. The [^/]* between them keeps them within one folder's or one file's name.
_R50 = r"r[_-]?50"
_TINY = r"swin[_-]?t(iny)?(?![a-z])"
_LARGE = r"swin[_-]?l(arge)?(?![a-z])"
_HORNET = r"hornet"
_W7 = r"[^/]*w(in)?7(?!\d)"
_W12 = r"[^/]*w(in)?12(?!\d)"
_NOT_W7 = r"(?!.*[_-]w(in)?7(?!\d))"

CHECKPOINTS: dict[str, Checkpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            "cropformer-nano",
            licence="Apache-2.0",
            credit="ships with ESG; trained in part on COCO photos and, for research, BSDS500 (see its model card)",
            knows="cropformer-nano learned from some 480 photos and from drawn scenes: it finds about two in three "
            "of the large people, animals and vehicles in one piece, and misses much that is small or thin.",
        ),
        Checkpoint(
            "gella-nano",
            "grounding",
            licence="Apache-2.0",
            credit="ships with ESG; trained in part on COCO photos and, for research, BSDS500 (see its model card)",
            knows="gella-nano knows COCO's 133 categories (person, dog, car, chair, sky, grass ...), some 700 other "
            "words for them, colours, sizes and places; what it says about a photo may be wrong.",
        ),
        Checkpoint("cropformer-swin-tiny", pattern=f"cropformer[^/]*{_TINY}"),
        Checkpoint("cropformer-swin-large", pattern=f"cropformer[^/]*{_LARGE}"),
        Checkpoint("cropformer-hornet-large", pattern=f"cropformer[^/]*{_HORNET}"),
        Checkpoint("mask2former-swin-tiny", pattern=f"mask2former[^/]*{_TINY}"),
        Checkpoint("mask2former-swin-large", pattern=f"mask2former[^/]*{_LARGE}"),
        Checkpoint("mask2former-hornet-large", pattern=f"mask2former[^/]*{_HORNET}"),
        Checkpoint("mask2former-instance-r50", "instance", _R50),
        Checkpoint("mask2former-instance-swin-tiny", "instance", _TINY),
        Checkpoint("mask2former-instance-swin-large-w12", "instance", _LARGE + _NOT_W7),
        Checkpoint("mask2former-panoptic-r50", "panoptic", _R50),
        Checkpoint("mask2former-panoptic-swin-tiny", "panoptic", _TINY),
        Checkpoint("mask2former-panoptic-swin-large-w7", "panoptic", _LARGE + _W7),
        Checkpoint("mask2former-panoptic-swin-large-w12", "panoptic", _LARGE + _W12),
        Checkpoint("mask2former-semantic-r50", "semantic", _R50),
        Checkpoint("mask2former-semantic-swin-tiny", "semantic", _TINY),
        Checkpoint("mask2former-semantic-swin-large-w7", "semantic", _LARGE + _W7),
        Checkpoint("mask2former-semantic-swin-large-w12", "semantic", _LARGE + _W12),
    )
}


def checkpoint_named(name: str, task: str | None = None) -> Checkpoint:
    """The checkpoint of that name, for any task; "cropformer-hornet-l" and "Mask2Former_swin_T" are accepted, too.

    Raises:
        WeightsError: there is none; the message suggests similar names, only those for `task` if it is given.

    >>> checkpoint_named("cropformer-nano").shipped
    True
    """
    canonical = name.lower().replace("_", "-")
    canonical = re.sub(r"(swin|hornet)-l(?=-|$)", r"\1-large", canonical)
    canonical = re.sub(r"swin-t(?=-|$)", "swin-tiny", canonical)
    canonical = re.sub(r"(resnet|r)-?50", "r50", canonical)
    if canonical in CHECKPOINTS:
        return CHECKPOINTS[canonical]
    _check_elsewhere(canonical)
    names = [checkpoint.name for checkpoint in CHECKPOINTS.values() if task in (None, checkpoint.task)]
    near = difflib.get_close_matches(canonical, names) or names[:4]
    raise WeightsError(
        f"There is no model or file called {name!r}; did you mean {', '.join(near)}? "
        "`esg weights list` lists all models."
    )


def _check_elsewhere(name: str) -> None:
    """Raises WeightsError, with advice, if the name belongs to something without a published weight file."""
    if name.startswith("zero-shot"):
        raise WeightsError(
            f"{name} does not have a weight file of its own; `esg weights list` shows the public models it consists of."
        )
    from ..models.cropformer.config import PRESETS as SEGMENTERS  # slow to import
    from ..models.gella.config import PRESETS as GROUNDERS

    for family, presets, others in (
        ("gella", GROUNDERS, "gella-nano or zero-shot"),
        ("cropformer", SEGMENTERS, "cropformer-nano"),
    ):
        if name in presets:
            raise WeightsError(
                f"There are no published weights of {name}; train them with `esg train {family} --preset "
                f"{name.removeprefix(f'{family}-')}` and give the file's path, or choose {others}."
            )
