"""Segmentation in the Wild (SGinW, Zou et al., "X-Decoder", CVPR 2023): 25 small data sets of everyday photos."""

from __future__ import annotations

from pathlib import Path

from ..support.errors import InputError
from .coco import CocoInstances

WILD_SETS = (
    "Airplane-Parts",
    "Bottles",
    "Brain-Tumor",
    "Chicken",
    "Cows",
    "Electric-Shaver",
    "Elephants",
    "Fruits",
    "Garbage",
    "Ginger-Garlic",
    "Hand",
    "Hand-Metal",
    "House-Parts",
    "HouseHold-Items",
    "Nutterfly-Squireel",
    "Phones",
    "Poles",
    "Puppies",
    "Rail",
    "Salmon-Fillet",
    "Strawberry",
    "Tablets",
    "Toolkits",
    "Trash",
    "Watermelon",
)
"""The folders of the benchmark, spelled as they are there."""

ANNOTATIONS = "_annotations_min1cat.coco.json"
"""The file that the benchmark measures with; its categories begin with 1."""


class WildSets:
    """The data sets of a folder, each opened when it is asked for.

    Args:
        path: the folder of the benchmark, which holds `NAME/valid/_annotations_min1cat.coco.json` and the photos beside
            it; or the folder of a single set.
        split: "valid", or the folder of another part.

    Attributes:
        names: names of the sets that are there, sorted.
        missing: names of the benchmark's sets that are not.

    Raises:
        InputError: there is no set.
    """

    def __init__(self, path: str | Path, split: str = "valid") -> None:
        path = Path(path)
        found = {file.parent.parent.name: file for file in sorted(path.glob(f"*/{split}/{ANNOTATIONS}"))}
        if not found and (path / split / ANNOTATIONS).is_file():
            found = {path.resolve().name: path / split / ANNOTATIONS}
        if not found:
            raise InputError(
                f"{path} does not hold any data set in the wild; give the folder with "
                f"{WILD_SETS[0]}/{split}/{ANNOTATIONS} and so on."
            )
        self._files = found
        self.names = tuple(found)
        self.missing = tuple(name for name in WILD_SETS if name not in found)

    def open(self, name: str) -> CocoInstances:
        """The photos of a set.

        Raises:
            InputError: its file is damaged, or has no photos or no categories.
        """
        file = self._files[name]
        photos = CocoInstances(file, file.parent)
        if not photos.categories:
            raise InputError(f"{file} does not list any categories.")
        return photos
