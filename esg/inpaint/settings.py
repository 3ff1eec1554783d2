"""The settings of an edit, with one default each, for Python, command line, page and workflows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .frame import CropSettings

if TYPE_CHECKING:
    from .engines.diffusion import DiffusionInpainting


@dataclass(frozen=True)
class MaskSettings:
    """Settings that turn a mask into the area that is filled.

    Attributes:
        grow: pixels by which the filled area reaches beyond the mask.
        feather: width in pixels of the outermost part of that area, in which the filling fades into the photo.
        fill_holes: whether holes in the mask are filled as well.

    >>> MaskSettings(grow=12).feather
    4
    """

    grow: int = CropSettings.grow
    feather: int = CropSettings.feather
    fill_holes: bool = CropSettings.fill_holes

    def crop(self, engine: DiffusionInpainting | None) -> CropSettings:
        """Returns the crop that a diffusion model gets to see, or OpenCV for None.

        Raises:
            InputError: a value is out of range.
        """
        if engine is None:  # OpenCV only uses the pixels next to a hole, and supports any size
            return CropSettings(target=0, multiple=1, **asdict(self))
        return CropSettings(target=engine.size, multiple=engine.multiple, **asdict(self))


@dataclass(frozen=True)
class PaintSettings:
    """Settings of a diffusion model.

    Attributes:
        negative: what to avoid.
        steps: diffusion steps, 1 to 1000.
        strength: above 0 and up to 1; 1 starts from pure noise, less keeps more of what was there.
        guidance: how closely to follow the prompt, 0 to 100.
        seed: random seed of the noise, 0 to 2**64 - 1.
        match_colour: how far to match the colours to the surroundings, 0 to 1.

    >>> PaintSettings(steps=30).check("a blue vase")
    """

    negative: str = ""
    steps: int = 25
    strength: float = 1.0
    guidance: float = 7.5
    seed: int = 0
    match_colour: float = 0.5

    @property
    def options(self) -> dict[str, Any]:
        """The settings that `DiffusionInpainting` takes as arguments: all but `match_colour`."""
        return {name: value for name, value in asdict(self).items() if name != "match_colour"}

    def check(self, prompt: str) -> None:
        """Checks settings and prompt before a model is loaded.

        Raises:
            InputError: a value has the wrong type or is out of range.
        """
        from .engines.diffusion import check_painting

        check_painting(prompt, **self.options)
