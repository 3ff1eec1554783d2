"""The callbacks by which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Stage(str, Enum):
    """The work being done. Equal to its name in lower case, so that `stage == "views"` works."""

    VIEWS = "views"  # the network looks at the whole picture and at crops
    FUSION = "fusion"  # the views are merged, in bands of rows
    CAPTIONS = "captions"  # drafts of a caption
    STEPS = "steps"  # of diffusion
    EDGES = "edges"  # tiles along the outline of a mask
    TRAINING = "training"  # steps

    __str__ = str.__str__

    def __format__(self, format_spec: str) -> str:
        return format(self.value, format_spec)


Progress = Callable[[int, int, Stage], None]
"""Called as `progress(done, total, stage)`; an exception that it raises ends the work."""

ItemProgress = Callable[[int, int], None]
"""Called as `progress(items done, all items)` by work of one stage."""
