"""The random generator of scenes."""

from __future__ import annotations

import math

import numpy as np

from .noise import Noise


class Draws(np.random.Generator):
    """numpy's generator, with additional draws for scenes."""

    def __init__(self, seed: int | tuple[int, int]) -> None:
        super().__init__(np.random.PCG64(seed))

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return bool(self.random() < share)

    def log_uniform(self, low: float, high: float) -> float:
        """A number from low to high (positive), with all orders of magnitude equally likely."""
        return float(np.exp(self.uniform(math.log(low), math.log(high))))

    def angle(self) -> float:
        """Any direction, with a preference for upright ones."""
        turn = self.integers(0, 4) * np.pi / 2
        return float(turn + self.normal(0, 0.05) if self.chance(0.4) else self.uniform(0, 2 * np.pi))

    def noise(self, frequency: float, octaves: int = 1) -> Noise:
        """A smooth field, of the same frequency along both axes."""
        return Noise(int(self.integers(2**31)), (frequency, frequency), octaves)
