"""Training samples: a full view and one corner crop of a scene or a photo, with their label maps.

A batch depends only on (seed, step, rank), so a resumed run continues with the samples that it would have seen, and the
number of loader processes does not matter.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..data.augment import augment, copy_paste
from ..data.photos import Photos
from ..data.scenes.layout import SceneConfig
from ..data.scenes.synth import HELD_OUT, make_scene
from ..models.cropformer.views import PADDING_MULTIPLE, PIXEL_MEAN, PIXEL_STD, Size, ViewGeometry, cut_view, view_boxes
from ..support.errors import EsgError

Picture = tuple[np.ndarray, np.ndarray, tuple[str | None, ...]]
"""(H, W, 3) uint8, labels (H, W) int32, and the categories of entity 1 and so on, as far as they are known."""


@dataclass(frozen=True)
class SampleConfig:
    """Settings of the training samples.

    Attributes:
        batch: pictures per step (on each device); each gives two views.
        sizes: possible sizes (height, width) of the views in pixels, multiples of 32; each step draws one.
        detail: range of the ratio of a scene's size to that of the full view, so that crops show more detail.
        scenes: distribution that scenes are drawn from.
        photos: folders of labelled photos (see `esg.data.photos`); empty for scenes only.
        photo_weights: relative probability of each folder; empty: proportional to its number of photos.
        photo_share: probability of a photo instead of a scene.
        paste_share: probability that entities of another picture, a scene or a photo, are pasted in.
        crop_ratio: side of the corner crop as a share of the picture's (δ).
        seed: random seed of the whole run.
    """

    batch: int = 4
    sizes: tuple[Size, ...] = ((192, 192), (192, 288), (288, 192), (256, 256))
    detail: tuple[float, float] = (1.5, 2.5)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    photos: tuple[str, ...] = ()
    photo_weights: tuple[float, ...] = ()
    photo_share: float = 0.5
    paste_share: float = 0.3
    crop_ratio: float = 0.7
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Views of B pictures.

    Attributes:
        pixels: (B, 2, 3, H, W) uint8 RGB, full view and crop, zero padded right and bottom.
        labels: (B, 2, H, W) int32, 0 = no entity and padding, -1 = unknown; an id is the same entity in both views.
        kinds: (B, N) int64, entry k is the category of entity k + 1, as an index of `Samples.categories`; -1 if it has
            none.
        frames: (B, 2, 4) float32, the part of the picture that each view spans, see `ViewGeometry.frames`.
        sizes: (B, 2) int64, height and width of the views without padding.
    """

    pixels: Tensor
    labels: Tensor
    frames: Tensor
    sizes: Tensor
    kinds: Tensor

    def normalised(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (B, 2, 3, H, W) float32 normalised and with 0 in the padding, frames, and labels, on `device`."""
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
        pixels = (self.pixels.to(device).float() - mean) / std
        for picture, (height, width) in zip(pixels, self.sizes.tolist(), strict=True):
            picture[..., height:, :] = 0
            picture[..., width:] = 0
        return pixels, self.frames.to(device), self.labels.to(device).long()


class Samples(Dataset):
    """The batches of a run, by step."""

    def __init__(self, config: SampleConfig, rank: int = 0) -> None:
        """Opens the photos.

        Args:
            config: settings of the samples.
            rank: number of the device; devices get different pictures of the same size.

        Raises:
            InputError: a folder of photos is missing or has an unknown format.
        """
        self.config = config
        self.rank = rank
        used = config.photos and config.photo_share > 0
        self.photos = Photos(config.photos, config.photo_weights) if used else None
        self.categories = self.photos.categories if self.photos is not None else ()
        self._kinds = {name: number for number, name in enumerate(self.categories)}

    def __getitem__(self, step: int) -> Batch:
        """The batch of `step`."""
        size = self.config.sizes[np.random.default_rng((self.config.seed, step)).integers(len(self.config.sizes))]
        rng = np.random.default_rng((self.config.seed, step, self.rank + 1))
        pictures = [self._picture(rng, size) for _ in range(self.config.batch)]
        views = [two_views(image, labels, size, rng, self.config.crop_ratio) for image, labels, _ in pictures]
        kinds = np.full((len(pictures), max(1, *(len(names) for *_, names in pictures))), -1, np.int64)
        for row, (*_, names) in zip(kinds, pictures, strict=True):
            row[: len(names)] = [-1 if name is None else self._kinds[name] for name in names]
        stacked = (torch.from_numpy(np.stack(parts)) for parts in zip(*views, strict=True))
        pixels, labels, frames, sizes = stacked
        return Batch(pixels, labels, frames, sizes, torch.from_numpy(kinds))

    def batches(self, start: int, stop: int, workers: int = 0) -> Generator[Batch, None, None]:
        """The batches of steps `start` to `stop` - 1, made ahead by `workers` processes (0: in this process).

        Close the generator at the end: the processes ignore signals and live until then.

        Raises:
            EsgError: a photo cannot be used.
        """
        return drawn(self, start, stop, workers)

    def _picture(self, rng: np.random.Generator, size: Size) -> Picture:
        """A picture larger than `size`, with the same aspect ratio."""
        if self.photos is not None and rng.random() < self.config.photo_share:
            image, labels, kinds = self._photo(self.photos, rng, size)
        else:
            image, labels, kinds = self._scene(rng, size)
        if rng.random() < self.config.paste_share:
            other, theirs, names = self._scene(rng, size)
            allowed = None
            if self.photos is not None and rng.random() < self.config.photo_share:
                photo = self.photos.draw(rng)
                things = [number for number, name in enumerate(photo.categories, 1) if name in self.photos.things]
                if things:
                    other, theirs, names, allowed = photo.image, photo.labels, photo.categories, things
            before = int(labels.max())
            image, labels, pasted = copy_paste(image, labels, other, theirs, rng, allowed)
            kinds = (*(_of(kinds, one + 1) for one in range(before)), *(_of(names, one) for one in pasted))
        return image, labels, kinds

    def _scene(self, rng: np.random.Generator, size: Size) -> Picture:
        detail = rng.uniform(*self.config.detail)
        height, width = (round(side * detail) for side in size)
        scene = make_scene(int(rng.integers(HELD_OUT)), height, width, self.config.scenes)
        return scene.image, scene.labels, ()

    def _photo(self, photos: Photos, rng: np.random.Generator, size: Size) -> Picture:
        photo = photos.draw(rng)
        # At this size, the corner crop is exactly as large as its view and is not resampled again.
        height, width = (round(side / self.config.crop_ratio) for side in size)
        return *augment(photo.image, photo.labels, rng, size=(height, width)), photo.categories


def _of(names: tuple[str | None, ...], number: int) -> str | None:
    return names[number - 1] if number <= len(names) else None


def drawn(samples: Dataset, start: int, stop: int, workers: int) -> Generator[Any, None, None]:
    """The batches of `samples` for steps `start` to `stop` - 1, see `Samples.batches`."""
    loader = DataLoader(
        _ErrorsAsValues(samples),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
    )
    for batch in loader:
        if isinstance(batch, EsgError):
            raise batch
        yield batch


class _ErrorsAsValues(Dataset):
    """Returns errors as values: a loader process would turn a raised error's message into a stack trace."""

    def __init__(self, samples: Dataset) -> None:
        self.samples = samples

    def __getitem__(self, step: int) -> Any:
        try:
            return self.samples[step]
        except EsgError as error:
            return error


def two_views(
    image: np.ndarray, labels: np.ndarray, size: Size, rng: np.random.Generator, ratio: float = 0.7
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The full view of a picture and a random one of its corner crops (paper Sec. 4, "Crop Dataloader").

    A picture with another aspect ratio than `size` is first cropped at a random place. Half of the views end up to 31
    pixels before the right and bottom edges of `size`, like views of photos that are padded to multiples of 32.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) integer.
        size: (height, width) of the views with padding.
        rng: random generator for crop, corner and padding.
        ratio: side of the corner crop as a share of the picture's.

    Returns:
        pixels (2, 3, height, width) uint8, labels (2, height, width) int32, frames (2, 4) float32, and (2,) int64, the
        size without padding.
        size without padding.
    """
    content = np.array(size)
    if rng.random() < 0.5:
        content = content - rng.integers(0, PADDING_MULTIPLE, 2)
    image, labels = _cut_to_aspect(image, labels, content[1] / content[0], rng)
    boxes = view_boxes(labels.shape[0], labels.shape[1], 4, ratio)
    pixels = np.zeros((2, 3, *size), np.uint8)
    maps = np.zeros((2, *size), np.int32)
    height, width = (int(side) for side in content)
    chosen = (boxes[0], boxes[rng.integers(1, 5)])
    for view, (x0, y0, x1, y1) in enumerate(chosen):
        pixels[view, :, :height, :width] = cut_view(image, (x0, y0, x1, y1), (height, width)).transpose(2, 0, 1)
        cut = Image.fromarray(np.ascontiguousarray(labels[y0:y1, x0:x1], dtype=np.int32))
        maps[view, :height, :width] = np.asarray(cut.resize((width, height), Image.Resampling.NEAREST))
    geometry = ViewGeometry((labels.shape[0], labels.shape[1]), chosen, ((height, width),) * 2, size)
    return pixels, maps, geometry.frames.numpy(), content.astype(np.int64)


def _cut_to_aspect(
    image: np.ndarray, labels: np.ndarray, aspect: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The largest part of a picture with width / height = `aspect`, to the nearest pixel, at a random place."""
    height, width = labels.shape
    h = max(1, min(height, round(width / aspect)))
    w = max(1, min(width, round(height * aspect)))
    y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
    return image[y : y + h, x : x + w], labels[y : y + h, x : x + w]


def _start_worker(_number: int) -> None:
    """Prepares a loader process."""
    torch.set_num_threads(1)  # the model uses the other cores
    # Signals to the process group are for the training loop, which ends its workers after it has saved.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
