"""What goes along the wires: the pack's own kinds of value, and pictures and masks as ComfyUI has them.

ComfyUI's IMAGE is (B, H, W, C) float32 from 0 to 1, its MASK is (B, H, W) or (H, W) float from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..esg import EntityMap, Grounding, InputError
from .host import host

SEGMENTER = "ESG_SEGMENTER"
GROUNDER = "ESG_GROUNDER"
ENTITIES = "ESG_ENTITIES"
STITCH = "ESG_STITCH"

LARGEST_STACK = 4 << 30  # bytes of masks in one output; more is hardly ever wanted, and brings machines down


@dataclass(frozen=True)
class Entities:
    """ESG_ENTITIES: the entities of a batch of pictures.

    Attributes:
        maps: one for each picture.
        groundings: what words mean in each picture, or None where nobody asked.
    """

    maps: tuple[EntityMap, ...]
    groundings: tuple[Grounding | None, ...]

    @classmethod
    def of(cls, maps: Sequence[EntityMap], groundings: Sequence[Grounding | None] | None = None) -> Entities:
        """Without groundings, nobody has asked yet."""
        return cls(tuple(maps), tuple(groundings) if groundings is not None else (None,) * len(maps))

    def __len__(self) -> int:
        return len(self.maps)


def pictures(image: Tensor) -> list[np.ndarray]:
    """IMAGE → a (H, W, 3) uint8 RGB array for each picture; transparent ones are laid over white.

    Raises:
        InputError: it is no IMAGE.
    """
    return [_eight_bits(one) for one in checked_image(image)]


def checked_image(image: Tensor) -> Tensor:
    """The same as float32, without gradient; it may share its memory. InputError if it is no IMAGE."""
    if image.ndim != 4 or image.shape[3] not in (1, 3, 4) or not image.numel():
        raise InputError(f"An IMAGE must have the shape [batch, height, width, 3], not {list(image.shape)}.")
    image = image.detach().float()
    if not all(torch.isfinite(one).all() for one in image):
        raise InputError("The IMAGE holds values that are no numbers; the node it comes from has failed.")
    return image


def _eight_bits(picture: Tensor) -> np.ndarray:
    """One at a time: what comes up on the way takes several times the memory of a picture, and a clip has hundreds."""
    if picture.shape[2] == 4:
        picture = picture[..., :3] * picture[..., 3:] + 1 - picture[..., 3:]
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def to_image(photos: Sequence[np.ndarray]) -> Tensor:
    """(H, W, 3) uint8 or float32 pictures of one size → IMAGE."""
    stacked = torch.from_numpy(np.stack(photos))
    image = stacked.float() / 255 if stacked.dtype == torch.uint8 else stacked.float()
    return image.to(host().results())


def read_masks(mask: Tensor) -> list[np.ndarray]:
    """MASK → a (H, W) float32 array for each mask.

    Raises:
        InputError: it is no MASK.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or not mask.numel():
        raise InputError(f"A MASK must have the shape [batch, height, width], not {list(mask.shape)}.")
    if not torch.isfinite(mask).all():
        raise InputError("The MASK holds values that are no numbers; the node it comes from has failed.")
    return list(mask.detach().float().clamp(0, 1).cpu().numpy())


def to_mask(found: Sequence[np.ndarray], size: tuple[int, ...] = (1, 1)) -> Tensor:
    """(H, W) masks of one size, bool or float, → MASK; without any, one mask of `size` in which nothing is marked."""
    stack = _stack(len(found), found[0].shape if found else size)
    for place, mask in zip(stack, found):
        place.numpy()[...] = mask
    return stack.to(host().results())


def entity_masks(maps: Sequence[EntityMap], *, each: bool = True) -> Tensor:
    """The entities of pictures of one size as MASK, one after the other, or all of a picture in one mask.

    Raises:
        InputError: they would take more memory than is sensible.
    """
    wanted = [(found, k) for found in maps for k in (range(1, len(found) + 1) if each else [0])]
    stack = _stack(len(wanted), maps[0].labels.shape)
    for place, (found, k) in zip(stack, wanted):
        place.numpy()[...] = found.labels == k if k else found.labels > 0
    return stack.to(host().results())


def _stack(count: int, size: tuple[int, ...]) -> Tensor:
    """Zeros, (count, H, W) float32; at least one mask."""
    needed = 4 * count * size[0] * size[1]
    if needed > LARGEST_STACK:
        raise InputError(
            f"{count} masks of {size[1]}x{size[0]} pixels would take {needed / 2**30:.0f} GiB; take fewer entities, or "
            "all of them in one mask."
        )
    return torch.zeros(max(count, 1), *size)


def fitted(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) at the size (H, W) of its picture, as other nodes resize masks, too."""
    if mask.shape == size:
        return mask
    resized = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=size, mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()


def check_pairs(photos: Sequence[np.ndarray], entities: Entities) -> None:
    """InputError unless there is one map for every picture, of its size."""
    if len(photos) != len(entities):
        raise InputError(
            f"There are {len(photos)} pictures, but entities of {len(entities)}; connect those of the same batch."
        )
    for photo, found in zip(photos, entities.maps):
        if photo.shape[:2] != found.labels.shape:
            raise InputError(
                f"The picture has {photo.shape[1]}x{photo.shape[0]} pixels, but its entities are of one of "
                f"{found.width}x{found.height}; connect the picture that was segmented."
            )
