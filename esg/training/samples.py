"""Training samples: a full view and one crop of a scene or a photo, with their label maps.

A batch depends only on (seed, step, rank), so a resumed run continues with the samples that it would have seen, and the
number of loader processes does not matter.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..data.augment import AugmentConfig, augment, copy_paste, mosaic, mosaic_boxes
from ..data.scenes.layout import SceneConfig
from ..data.scenes.synth import HELD_OUT, make_scene
from ..models.cropformer.views import (
    PADDING_MULTIPLE,
    PIXEL_MEAN,
    PIXEL_STD,
    Box,
    Size,
    ViewGeometry,
    cut_view,
    resized_size,
    view_boxes,
)
from ..support.errors import EsgError
from .photo_split import PhotoSplit

Picture = tuple[np.ndarray, np.ndarray, tuple[str | None, ...]]
"""(H, W, 3) uint8, labels (H, W) int32, and the categories of entity 1 and so on, as far as they are known."""

CROPS = ("fixed-4", "fixed-8", "random", "none")
"""Places of the crop (Table 9b): one of four corners, one of these or of four places between them, or anywhere; or no
crop, as for a Mask2Former."""


@dataclass(frozen=True)
class SampleConfig:
    """Settings of the training samples.

    Attributes:
        batch: pictures per step (on each device); each gives two views, or one without a crop.
        sizes: possible sizes (height, width) of the views in pixels, multiples of 32; each step draws one, and makes
            pictures of its aspect ratio: photos are cut.
        short: possible lengths of the views' short side in pixels. If given, `sizes` is not used: each picture keeps
            its aspect ratio and draws one of these, and the views of a batch are padded to the largest one.
        longest: upper limit of the views' long side, for `short`.
        detail: range of the ratio of a scene's size to that of the full view, so that crops show more detail.
        scenes: distribution that scenes are drawn from.
        photos: folders of labelled photos (see `esg.data.photos`); empty for scenes only.
        photo_weights: relative probability of each folder; empty: proportional to its number of photos.
        photo_share: probability of a photo instead of a scene.
        held_out: share of the photos of each folder that is kept for measuring (see `photo_split`).
        augment: random changes of photos.
        paste_share: probability that entities of another picture, a scene or a photo, are pasted in.
        mosaic_share: probability that a picture is put together from two or four smaller ones, see `mosaic`.
        crops: place of the crop, one of `CROPS`.
        crop_ratio: side of the crop as a share of the picture's (δ).
        seed: random seed of the whole run.
    """

    batch: int = 4
    sizes: tuple[Size, ...] = ((192, 192), (192, 288), (288, 192), (256, 256))
    short: tuple[int, ...] = ()
    longest: int = 1333
    detail: tuple[float, float] = (1.5, 2.5)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    photos: tuple[str, ...] = ()
    photo_weights: tuple[float, ...] = ()
    photo_share: float = 0.5
    held_out: float = 0.0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    paste_share: float = 0.3
    mosaic_share: float = 0.0
    crops: str = "fixed-4"
    crop_ratio: float = 0.7
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Views of B pictures, T = 2 or, without a crop, T = 1.

    Attributes:
        pixels: (B, T, 3, H, W) uint8 RGB, full view and crop, zero padded right and bottom.
        labels: (B, T, H, W) int32, 0 = no entity and padding, -1 = unknown; an id is the same entity in both views.
        kinds: (B, N) int64, entry k is the category of entity k + 1, as an index of `Samples.categories`; -1 if it has
            none.
        frames: (B, T, 4) float32, the part of the picture that each view spans, see `ViewGeometry.frames`.
        sizes: (B, 2) int64, height and width of the views without padding.
    """

    pixels: Tensor
    labels: Tensor
    frames: Tensor
    sizes: Tensor
    kinds: Tensor

    def normalised(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (B, T, 3, H, W) float32 normalised and with 0 in the padding, frames, and labels, on `device`."""
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
        self.photos = PhotoSplit(config.photos, config.photo_weights, config.held_out) if used else None
        self.categories = self.photos.categories if self.photos is not None else ()
        self._kinds = {name: number for number, name in enumerate(self.categories)}

    def __getitem__(self, step: int) -> Batch:
        """The batch of `step`."""
        size = self.config.sizes[np.random.default_rng((self.config.seed, step)).integers(len(self.config.sizes))]
        rng = np.random.default_rng((self.config.seed, step, self.rank + 1))
        pictures = [
            self._resized(rng) if self.config.short else self._sized(rng, size) for _ in range(self.config.batch)
        ]
        if self.config.short:
            size = _padded([content for _, content in pictures])
        views = [
            views_of(image, labels, content, size, rng, crops=self.config.crops, ratio=self.config.crop_ratio)
            for (image, labels, _), content in pictures
        ]
        known = [names for (_, _, names), _ in pictures]
        kinds = np.full((len(pictures), max(1, *map(len, known))), -1, np.int64)
        for row, names in zip(kinds, known, strict=True):
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

    def _sized(self, rng: np.random.Generator, size: Size) -> tuple[Picture, Size]:
        """A picture for views of `size` with their padding, and the size of its views without.

        Half of the views end up to 31 pixels before the right and bottom edges, like views of photos that are padded to
        multiples of 32. The picture has the aspect ratio of its views, so that the full view shows all of it.
        """
        content = size
        if rng.random() < 0.5:
            missing = rng.integers(0, PADDING_MULTIPLE, 2)
            content = (size[0] - int(missing[0]), size[1] - int(missing[1]))
        return self._picture_or_mosaic(rng, content, self._enlarged(content)), content

    def _resized(self, rng: np.random.Generator) -> tuple[Picture, Size]:
        """A picture of any aspect ratio, and the size of its views."""
        short = int(rng.choice(self.config.short))
        aspect = math.exp(rng.uniform(-0.5, 0.5))  # of scenes, which can have any: 3:5 to 5:3
        height, width = (short, round(short * aspect)) if aspect > 1 else (round(short / aspect), short)
        picture = self._picture_or_mosaic(rng, (height, width), None)
        height, width = picture[1].shape
        return picture, resized_size(height, width, short, self.config.longest)

    def _enlarged(self, view: Size) -> Size:
        """The size of a photo that is cut into crops that need not be resampled for views of size `view`."""
        height, width = (round(side / self.config.crop_ratio) for side in view)
        return height, width

    def _picture_or_mosaic(self, rng: np.random.Generator, view: Size, photo: Size | None) -> Picture:
        share = self.config.mosaic_share
        if share and rng.random() < share:
            return self._mosaic(rng, view, photo or self._enlarged(view))
        return self._picture(rng, view, photo)

    def _picture(self, rng: np.random.Generator, view: Size, photo: Size | None) -> Picture:
        """A photo of size `photo`, or of its own size if this is None; or a scene for views of size `view`."""
        if self.photos is not None and rng.random() < self.config.photo_share:
            drawn = self.photos.draw(rng)
            image, labels = augment(drawn.image, drawn.labels, rng, self.config.augment, photo)
            kinds = drawn.categories
        else:
            image, labels, kinds = self._scene(rng, view)
        if rng.random() < self.config.paste_share:
            other, theirs, names = self._scene(rng, view)
            allowed = None
            if self.photos is not None and rng.random() < self.config.photo_share:
                drawn = self.photos.draw(rng)
                things = [number for number, name in enumerate(drawn.categories, 1) if name in self.photos.things]
                if things:
                    other, theirs, names, allowed = drawn.image, drawn.labels, drawn.categories, things
            before = int(labels.max())
            image, labels, pasted = copy_paste(image, labels, other, theirs, rng, allowed)
            kinds = (*(_of(kinds, one + 1) for one in range(before)), *(_of(names, one) for one in pasted))
        return image, labels, kinds

    def _mosaic(self, rng: np.random.Generator, view: Size, size: Size) -> Picture:
        """Several pictures that together have `size`."""
        boxes = mosaic_boxes(size, rng)
        scale = view[0] / size[0]
        sizes = [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in boxes]
        pictures = [self._picture(rng, (round(h * scale), round(w * scale)), (h, w)) for h, w in sizes]
        image, labels = mosaic([(image, labels) for image, labels, _ in pictures], boxes)
        kinds = [_of(names, one + 1) for _, own, names in pictures for one in range(int(own.max()))]
        return image, labels, tuple(kinds)

    def _scene(self, rng: np.random.Generator, view: Size) -> Picture:
        detail = rng.uniform(*self.config.detail)
        height, width = (round(side * detail) for side in view)
        scene = make_scene(int(rng.integers(HELD_OUT)), height, width, self.config.scenes)
        return scene.image, scene.labels, ()


def _padded(contents: list[Size]) -> Size:
    """The smallest multiples of 32 that all these sizes fit in."""
    height, width = (-(-max(side) // PADDING_MULTIPLE) * PADDING_MULTIPLE for side in zip(*contents, strict=True))
    return height, width


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


def views_of(
    image: np.ndarray,
    labels: np.ndarray,
    content: Size,
    padded: Size,
    rng: np.random.Generator,
    *,
    crops: str = "fixed-4",
    ratio: float = 0.7,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The full view of a picture and, unless `crops` is "none", a random crop of it (Sec. 4, "Crop Dataloader").

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) integer.
        content: (height, width) that both views are resized to.
        padded: (height, width) of the views with padding at the right and the bottom.
        rng: random generator for the place of the crop.
        crops: place of the crop, one of `CROPS`.
        ratio: side of the crop as a share of the picture's.

    Returns:
        pixels (T, 3, height, width) uint8, labels (T, height, width) int32, frames (T, 4) float32, and (2,) int64, the
        size without padding.
    """
    chosen: tuple[Box, ...] = ((0, 0, labels.shape[1], labels.shape[0]),)
    if crops != "none":
        chosen += (_crop(labels.shape[0], labels.shape[1], crops, ratio, rng),)
    pixels = np.zeros((len(chosen), 3, *padded), np.uint8)
    maps = np.zeros((len(chosen), *padded), np.int32)
    height, width = content
    for view, (x0, y0, x1, y1) in enumerate(chosen):
        pixels[view, :, :height, :width] = cut_view(image, (x0, y0, x1, y1), content).transpose(2, 0, 1)
        cut = Image.fromarray(np.ascontiguousarray(labels[y0:y1, x0:x1], dtype=np.int32))
        maps[view, :height, :width] = np.asarray(cut.resize((width, height), Image.Resampling.NEAREST))
    geometry = ViewGeometry((labels.shape[0], labels.shape[1]), chosen, (content,) * len(chosen), padded)
    return pixels, maps, geometry.frames.numpy(), np.array(content, np.int64)


def _crop(height: int, width: int, crops: str, ratio: float, rng: np.random.Generator) -> Box:
    """The rectangle of a random crop."""
    _, *fixed = view_boxes(height, width, 8 if crops == "fixed-8" else 4, ratio)
    if crops != "random":
        return fixed[rng.integers(len(fixed))]
    right, bottom = fixed[3][:2]  # the bottom-right corner's origin is the last that a crop can have
    x, y = int(rng.integers(right + 1)), int(rng.integers(bottom + 1))
    return x, y, x + width - right, y + height - bottom


def _start_worker(_number: int) -> None:
    """Prepares a loader process."""
    torch.set_num_threads(1)  # the model uses the other cores
    # Signals to the process group are for the training loop, which ends its workers after it has saved.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
