"""Smooth random fields over the picture plane, the same at every resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_LATTICE = 48


def _spline_weights(position: Tensor) -> Tensor:
    """Weights (n, lattice) of the periodic lattice points for n positions in cells (cubic B-spline, 4 taps)."""
    cell = torch.floor(position)
    t = position - cell
    ends = torch.stack((1 - t, t))
    squares = ends * ends
    outer = squares * ends / 6
    inner = 2 / 3 - squares.flip(0) + 3 * outer.flip(0)
    taps = torch.stack((outer[0], inner[0], inner[1], outer[1]), 1)
    index = (cell.long()[:, None] + torch.arange(-1, 3, device=position.device)) % _LATTICE
    return torch.zeros(len(position), _LATTICE, device=position.device).scatter_(1, index, taps)


@dataclass(frozen=True)
class Noise:
    """Band-limited noise with zero mean and a standard deviation of about one.

    The field is a random lattice smoothed by cubic B-splines. On a pixel grid, that takes two small matrix products per
    octave (rows, then columns), which makes it cheap. Octaves finer than a pixel fade out as they do in a lens, so low
    and high resolutions show the same field.

    Attributes:
        seed: random seed of the lattice.
        frequency: lattice cells per unit of length in x and in y, for the coarsest octave.
        octaves: number of octaves; each has twice the frequency of the previous one.
        gain: amplitude of an octave relative to the previous one.
    """

    seed: int
    frequency: tuple[float, float]
    octaves: int = 1
    gain: float = 0.5

    def __call__(self, x: Tensor, y: Tensor, pixel: float = 0.0) -> Tensor:
        """Field (h, w) at the columns x (w,) and rows y (h,) of a grid whose pixels are `pixel` wide."""
        rng = np.random.default_rng(self.seed)
        # 2.08 compensates for the variance that smoothing removes.
        lattice = torch.from_numpy(2.08 * rng.standard_normal((_LATTICE, _LATTICE), np.float32)).to(x.device)
        norm = sum(self.gain ** (2 * k) for k in range(self.octaves)) ** -0.5
        field = torch.zeros(len(y), len(x), device=x.device)
        for octave in range(self.octaves):
            fx, fy = (f * 2**octave for f in self.frequency)
            shown = min(1.0, 2.0 - 2.5 * max(fx, fy) * pixel)
            if shown <= 0:
                break
            amplitude = norm * shown * self.gain**octave
            shift = 7.3 * octave
            rows, columns = _spline_weights(torch.cat((y * fy, x * fx)) + shift).split((len(y), len(x)))
            field = torch.addmm(field, rows @ lattice, columns.T, alpha=amplitude)
        return field
