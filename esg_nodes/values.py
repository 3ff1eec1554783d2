"""The values that nodes exchange: the pack's own types, and pictures and masks as ComfyUI has them.

ComfyUI's IMAGE is (B, H, W, C) float32 from 0 to 1, its MASK is (B, H, W) or (H, W) float from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..esg import EntityMap, Grounding, InputError, choose, choose_tracks, overlay, write_ids
from .host import host
from .later import Later, LaterMaps

SEGMENTER = "ESG_SEGMENTER"
GROUNDER = "ESG_GROUNDER"
ENTITIES = "ESG_ENTITIES"
STITCH = "ESG_STITCH"

LARGEST_STACK = 4 << 30  # bytes of masks in one output; more is hardly ever useful, and can bring a machine down


@dataclass(frozen=True)
class Entities:
    """ESG_ENTITIES: the entities of a batch of pictures.

    Users refer to entities by number. Numbers are the ids of the maps or, in a clip, the tracks: one number for one
    thing in all of its pictures. Groundings and maps hold ids; everything that a user reads or writes holds numbers.

    Attributes:
        maps: one for each picture.
        groundings: the grounding of each picture, or None if nothing has been grounded in it.
        tracks: for a clip, (N,) whole numbers from 1 for each picture, the track of each of its entities; None if the
            pictures are not a clip.
    """

    maps: Sequence[EntityMap]
    groundings: tuple[Grounding | None, ...]
    tracks: tuple[np.ndarray, ...] | None = None

    @classmethod
    def of(
        cls,
        maps: Sequence[EntityMap],
        groundings: Sequence[Grounding | None] | None = None,
        tracks: Sequence[np.ndarray] | None = None,
    ) -> Entities:
        """Makes entities; without groundings, nothing has been grounded yet."""
        asked = tuple(groundings) if groundings is not None else (None,) * len(maps)
        return cls(
            maps if isinstance(maps, LaterMaps) else tuple(maps), asked, tuple(tracks) if tracks is not None else None
        )

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def numbers(self) -> tuple[np.ndarray, ...]:
        """For each picture (N,), the number of each of its entities."""
        return tuple(np.arange(1, len(found) + 1) for found in self.maps) if self.tracks is None else self.tracks

    @property
    def names(self) -> tuple[list[str], ...]:
        """For each picture, the first phrase of each entity, or else its class; an empty text if it has neither."""
        return tuple(
            [
                next((phrase.text for phrase in grounding.entity_phrases(k)), name or "") if grounding else name or ""
                for k, name in enumerate(found.names, start=1)
            ]
            for grounding, found in zip(self.groundings, self.maps)
        )

    def choose(self, what: Any, *, strict: bool | None = None, first: int = 1) -> list[list[int]]:
        """The ids in each picture that a text or data chooses; see `esg.choose`, and for clips `esg.choose_tracks`.

        Args:
            what: the text or data, with the user's numbers.
            strict: whether a number that does not exist is an error; None: only for one picture or a clip, since some
                of several pictures may have it.
            first: the number of the first picture, for `picture 3:`.
        """
        if self.tracks is not None:
            strict = strict is not False
            chosen = choose_tracks(self.maps, self.tracks, what, groundings=self.groundings, strict=strict)
            return self.of_numbers(chosen)
        strict = len(self) == 1 if strict is None else strict
        return [
            choose(found, what, grounding=grounding, strict=strict, picture=first + k)
            for k, (found, grounding) in enumerate(zip(self.maps, self.groundings))
        ]

    def of_numbers(self, numbers: Iterable[int]) -> list[list[int]]:
        """The ids in each picture of the entities with these numbers."""
        wanted = [*numbers]
        return [(np.flatnonzero(np.isin(own, wanted)) + 1).tolist() for own in self.numbers]

    def written(self, chosen: Sequence[Sequence[int]]) -> list[str]:
        """For each picture, the numbers of the entities with these ids, as a text like 3,5-7."""
        return [write_ids(own[np.array(ids, int) - 1].tolist()) for own, ids in zip(self.numbers, chosen)]

    def to_json(self) -> list[dict[str, Any]]:
        """The groundings as JSON, with numbers instead of ids; an empty caption if nothing has been grounded."""
        content = [(one or Grounding("")).to_json() for one in self.groundings]
        for one, own in zip(content, self.numbers):
            for phrase in one["phrases"]:
                phrase["entity_ids"] = [int(own[number - 1]) for number in phrase["entity_ids"]]
        return content


def moved(tracks: np.ndarray, new_ids: np.ndarray, count: int) -> np.ndarray:
    """The tracks of `count` entities that were made from others; `new_ids` is as in `esg.follow`.

    Merged entities keep the lowest track; an entity that was not made from another one has track 0.
    """
    found = np.zeros(count + 1, np.int64)
    for track, new in sorted(zip(tracks.tolist(), new_ids[1:].tolist()), reverse=True):
        found[new] = track
    return found[1:]


def one_by_one(lists: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The inputs of each call for lists of inputs, as ComfyUI does it: shorter lists repeat their last item."""
    for k in range(max(map(len, lists.values()), default=0)):
        yield {name: values[min(k, len(values) - 1)] for name, values in lists.items()}


def picture_places(masks: Sequence[Tensor], count: int) -> list[int] | None:
    """For each item of a list of masks, the index of its batch among `count` batches of pictures; None: in pairs.

    Raises:
        InputError: there are several of both, but in different numbers, and the masks do not know their pictures.
    """
    batches = [mask.batch if isinstance(mask, Later) else None for mask in masks]
    if count > 1 and all(batch is not None and batch[1] == count for batch in batches):
        return [batch[0] for batch in batches if batch is not None]
    if count > 1 and len(masks) not in (1, count):
        raise InputError(
            f"A list of {len(masks)} masks does not fit a list of {count} pictures; connect one mask for each, or the "
            "masks of For Each Phrase or Entity or of Entities to Masks without a node in between."
        )
    return None


def with_pictures(lists: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Like `one_by_one`, but `mask` may have several items for each item of `image`."""
    count = len(lists["image"])
    places = picture_places(lists["mask"], count)
    if places is not None:
        by_picture = {name: [own[k] for k in places] for name, own in lists.items() if len(own) == count}
        lists = {**lists, **by_picture, "mask": lists["mask"]}
    yield from one_by_one(lists)


def pictures(image: Tensor) -> list[np.ndarray]:
    """IMAGE → a (H, W, 3) uint8 RGB array for each picture; transparent ones are laid over white.

    Raises:
        InputError: it is not an IMAGE.
    """
    return [_eight_bits(one) for one in checked_image(image)]


def checked_image(image: Tensor) -> Tensor:
    """The image as float32 without gradient, possibly sharing memory. Raises InputError if it is not an IMAGE."""
    if image.ndim != 4 or image.shape[3] not in (1, 3, 4) or not image.numel():
        raise InputError(
            f"An IMAGE must have the shape [batch, height, width, 3], not {list(image.shape)}; check the node that it "
            "comes from."
        )
    image = image.detach().float()
    if not all(_finite(one) for one in image):
        raise InputError("The IMAGE contains values that are NaN or infinite; check the node that it comes from.")
    return image


def _finite(values: Tensor) -> bool:
    """Whether all values are finite. The sum shows it in one pass, unless it overflows."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _eight_bits(picture: Tensor) -> np.ndarray:
    """One picture at a time: intermediate results take several times its memory, and a clip has hundreds."""
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

    An extra channel axis of length 1 is dropped: some nodes make such masks.

    Raises:
        InputError: it is not a MASK.
    """
    shape = list(mask.shape)
    if mask.ndim == 2:
        mask = mask[None]
    elif mask.ndim == 4 and shape[1] == 1:
        mask = mask[:, 0]
    elif mask.ndim == 4 and shape[3] == 1:
        mask = mask[..., 0]
    if mask.ndim != 3 or not mask.numel():
        raise InputError(
            f"A MASK must have the shape [batch, height, width], not {shape}; check the node that it comes from."
        )
    return [_checked_range(one.detach().float()).cpu().numpy() for one in mask]


def _checked_range(mask: Tensor) -> Tensor:
    """A mask with values from 0 to 1: the same one if it has no others, since a batch may have thousands."""
    low, high = torch.stack(mask.aminmax()).tolist()
    if not math.isfinite(low + high):
        raise InputError("The MASK contains values that are NaN or infinite; check the node that it comes from.")
    return mask if low >= 0 and high <= 1 else mask.clamp(0, 1)


def to_mask(found: Sequence[np.ndarray], size: tuple[int, ...] = (1, 1)) -> Tensor:
    """(H, W) masks of one size, bool or float → MASK; if there are none, one empty mask of `size`."""
    stack = _stack(len(found), found[0].shape if found else size)
    for place, mask in zip(stack, found):
        place.numpy()[...] = mask
    return stack.to(host().results())


def later_mask(count: int, size: tuple[int, ...], each: Callable[[int], np.ndarray]) -> Later:
    """MASK of `count` masks (H, W), made when they are needed; if there are none, one empty mask.

    Args:
        count: number of masks.
        size: height and width of all masks.
        each: returns mask k, counted from 0, bool or float.
    """

    def make() -> Tensor:
        stack = _stack(count, size)
        for k in range(count):
            stack[k].numpy()[...] = each(k)
        return stack.to(host().results())

    return Later((max(count, 1), *size), make)


def entity_masks(entities: Entities, *, each: bool = True) -> Later:
    """MASK of the entities of pictures of one size, made when it is needed.

    It has one mask for each entity, starting with the first picture and in numerical order, or one for each picture.
    Making it raises InputError if the masks would take too much memory.
    """
    wanted = [
        (found, int(number))
        for found, own in zip(entities.maps, entities.numbers)
        for number in (np.argsort(own) + 1 if each else [0])
    ]

    def mask(k: int) -> np.ndarray:
        found, number = wanted[k]
        inside: np.ndarray = found.labels == number if number else found.labels > 0
        return inside

    return later_mask(len(wanted), entities.maps[0].labels.shape, mask)


def number_mask(entities: Entities, numbers: Sequence[int]) -> Later:
    """MASK of the entities with these numbers together, one for each picture; made when it is needed."""
    chosen = entities.of_numbers(numbers)
    return later_mask(len(entities), entities.maps[0].labels.shape, lambda k: entities.maps[k].mask(chosen[k]))


def later_overlay(image: Tensor, entities: Entities, *, numbers: bool) -> Tensor:
    """IMAGE of the pictures of `image` with their entities in the colours of their numbers, made when it is needed."""

    def make() -> Tensor:
        drawn = torch.empty(*image.shape[:3], 3)
        for place, one, found, own in zip(drawn, image, entities.maps, entities.numbers):
            (photo,) = pictures(one[None])
            place.copy_(torch.from_numpy(overlay(photo, found, numbers=numbers, shown_as=own))).div_(255)
        return drawn.to(host().results())

    return Later((*image.shape[:3], 3), make)


def _stack(count: int, size: tuple[int, ...]) -> Tensor:
    """Zeros, (count, H, W) float32; at least one mask."""
    needed = 4 * count * size[0] * size[1]
    if needed > LARGEST_STACK:
        raise InputError(
            f"{count} masks of {size[1]}x{size[0]} pixels would take {needed / 2**30:.0f} GiB; choose fewer entities, "
            "or one mask for all of them."
        )
    return torch.zeros(max(count, 1), *size)


def fitted(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) resized to the size (H, W) of its picture, in the same way as other nodes do."""
    if mask.shape == size:
        return mask
    resized = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=size, mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()


def check_pairs(image: Tensor, entities: Entities) -> None:
    """Raises InputError unless there is one map for every picture, of the picture's size."""
    if len(image) != len(entities):
        raise InputError(
            f"There are {len(image)} pictures, but entities of {len(entities)} pictures; connect pictures and entities "
            "of the same batch."
        )
    height, width = image.shape[1:3]
    for found in entities.maps:
        if (height, width) != found.labels.shape:
            raise InputError(
                f"The picture has {width}x{height} pixels, but the entities are of a picture of "
                f"{found.width}x{found.height}; connect the picture that was segmented."
            )
