"""Another segmenter's masks of the photos of a run, from files (paper Table XVIII a)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.annotated import AnnotatedPhoto
from ..data.problems import Problems
from ..entities.entity_map import EntityMap
from ..evaluation.entity_sources import MasksFromFiles
from ..evaluation.predictions import open_predictions
from ..support.errors import ImageError


class GivenMasks:
    """Masks in files, as `esg eval` reads them.

    Args:
        path: a folder with a file or a folder of masks for each photo, named after it; or a file about all photos, in
            COCO's formats, which is read once.

    Attributes:
        name: the path.
        problems: what was left out of a file about all photos when it was opened.

    Raises:
        InputError: the path does not exist, or has another format.
    """

    def __init__(self, path: str | Path) -> None:
        self._folder = MasksFromFiles(path)
        about_all = not Path(path).is_dir() or (Path(path) / "panoptic.json").is_file()
        self._file = open_predictions(path) if about_all else None
        self.name = str(path)
        self.problems = Problems() if self._file is None else self._file.problems

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> EntityMap:
        """The entities of a photo; they may be none.

        Args:
            photo: the photo.
            problems: takes what is left out.

        Raises:
            EsgError: there are no masks of this photo, or they cannot be used.
        """
        if self._file is None:
            size_only = np.broadcast_to(np.uint8(0), (*photo.size, 3))
            return self._folder(size_only, photo.name if photo.file is None else str(photo.file))
        found = self._file.of(photo, problems)
        if found is None:
            raise ImageError(f"{self._file.name} does not have masks of {photo.name}.")
        if problems and not found:
            raise ImageError(f"The masks of {photo.name} in {self._file.name} cannot be used: {'; '.join(problems)}.")
        return EntityMap.from_masks([one.mask for one in found], [one.score for one in found], size=photo.size)
