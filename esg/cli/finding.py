"""Where the entities of a photo come from: a segmenter, or the user's own masks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..entities.orders import ORDERS
from ..support.errors import InputError
from .arguments import Machine, file_or_folder, fraction, not_empty, whole
from .console import Console
from .job import Job

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..pictures.listing import InputPhoto

Find = Callable[["np.ndarray", Job], "EntityMap"]  # finds the entities of a photo, which is (H, W, 3) uint8


@dataclass(frozen=True)
class EntitySource:
    """Where the entities come from.

    Attributes:
        segmenter: name or file of the model that finds them, unless there are masks.
        masks: file or folder of masks.
        order, threshold, void, pixels: settings for reading the masks, see `read_masks`.
    """

    segmenter: str
    masks: Path | None
    order: str | None
    threshold: float
    void: int | None
    pixels: str

    def load(self, machine: Machine, console: Console) -> Find:
        """Returns the function that finds the entities; loads the segmenter unless there are masks."""
        return self._segmenter(machine, console) if self.masks is None else self._reader(self.masks)

    def _segmenter(self, machine: Machine, console: Console) -> Find:
        console.progress(f"Loading {self.segmenter} ...")
        from ..segmenter import EntitySegmenter

        segmenter = EntitySegmenter.from_pretrained(self.segmenter, **machine)
        return lambda pixels, job: segmenter(pixels, max_pixels=job.max_pixels, progress=job.progress)

    def _reader(self, masks: Path) -> Find:
        from ..entities.importing import read_masks

        def read(pixels: np.ndarray, job: Job) -> EntityMap:
            with job.about():
                return read_masks(
                    masks,
                    (pixels.shape[0], pixels.shape[1]),
                    photo=job.photo.path,
                    by_name=job.several,  # of several photos, each one's masks are found by its name
                    max_pixels=job.max_pixels,
                    may_be_empty=True,
                    order=self.order,
                    threshold=self.threshold,
                    void=self.void,
                    pixels=self.pixels,
                )

        return read


def add_entities(model: Any) -> None:
    """--segmenter and --masks, the sources of entities, in the group made by `arguments.add_grounder`."""
    model.add_argument(
        "--segmenter",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="the model that finds the entities, a name from `esg weights list` or a weight file [cropformer-nano, "
        "which comes with ESG]",
    )
    model.add_argument(
        "--masks",
        type=file_or_folder,
        metavar="FILE",
        help="read the entities from here instead: a PNG with labels or a mask, JSON from COCO, SAM, LabelMe and "
        "others, CVAT XML, YOLO text, .npy, .npz, or a folder of PNGs; docs/formats.md has the full list",
    )
    model.add_argument(
        "--mask-order",
        choices=tuple(ORDERS),
        help="where masks overlap: "
        + "; ".join(f"{name}: {what}" for name, what in ORDERS.items())
        + " [smaller for SAM's masks; otherwise the file's own layers, or else score]",
    )
    model.add_argument(
        "--mask-threshold",
        type=fraction,
        default=0.5,
        metavar="T",
        help="pixels of a soft mask above this value belong to the mask, 0 to 1 [0.5]",
    )
    model.add_argument(
        "--void",
        type=whole(-1),
        metavar="LABEL",
        help="label that does not belong to any entity, in addition to 0; -1: there is no such label [255 if it marks "
        "borders, as in PASCAL VOC, or is far from all other labels, as in Cityscapes and ADE20K]",
    )
    model.add_argument(
        "--mask-pixels",
        choices=("auto", "upright", "stored"),
        default="auto",
        help="for photos that EXIF rotates: whether the masks match the photo as displayed or its stored pixels [auto: "
        "decided by their size, else upright]",
    )


def entities_of(args: argparse.Namespace) -> EntitySource:
    """The options of `add_entities`."""
    return EntitySource(args.segmenter, args.masks, args.mask_order, args.mask_threshold, args.void, args.mask_pixels)


def check_masks(masks: Path | None, photos: Sequence[InputPhoto]) -> None:
    """Raises InputError if the file does not exist, is not a mask file, or holds only one photo's masks for several."""
    if masks is None:
        return
    from ..entities.importing import kind_of, tells_photos_apart

    kind_of(masks)
    if len(photos) > 1 and not tells_photos_apart(masks, [photo.path for photo in photos]):
        raise InputError(
            f"{masks} holds the masks of one photo, but there are {len(photos)} photos; "
            "process them one by one, or give a COCO file that describes them all, or a folder with a file for each."
        )
