"""EntitySegmenter: segments a photo into its entities, or into segments with classes."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .entities import tidying as cleanup
from .entities.categories import Categories
from .entities.entity_map import EntityMap
from .entities.scored_masks import ScoredMask
from .entities.tracking import TrackedFrame, Tracker
from .models.cropformer.checkpoints import convert, is_official, load_strict, preset_of
from .models.cropformer.clips import known_tracks, queries_of, views_of_frames, windows
from .models.cropformer.config import PRESETS, TASKS, CropFormerConfig, Preset, class_aware
from .models.cropformer.device_fusion import fuse_there
from .models.cropformer.fusion import FUSIONS, Fusion, fuse, fusion_views
from .models.cropformer.model import CropFormer, Output
from .models.cropformer.overlapping import Overlapping, overlapping
from .models.cropformer.predicted import Predicted
from .models.cropformer.scales import merge_scales
from .models.cropformer.segments import Segments, panoptic, semantic
from .models.cropformer.stability import stability
from .models.cropformer.views import Views, check_crops, check_ratio, make_views
from .models.gella.file_kind import is_gella
from .models.layers.attention import set_attention
from .models.meta_init import Unfilled
from .pictures.reading import ImageLike, read_image
from .support.checks import check_number, check_whole
from .support.device import choose_device, choose_dtype, computing_in, move, release_memory, upload
from .support.errors import InputError, OutOfMemory, WeightsError
from .support.files import at_home
from .support.limits import MAX_PIXELS, MIN_SIDE
from .support.progress import Progress, Stage
from .support.weight_files import read_state_dict
from .weights.catalogue import checkpoint_named
from .weights.finding import locate

log = logging.getLogger(__name__)

_FUSING = {"cuda"}
"""Kinds of devices that fuse masks themselves; elsewhere the CPU is faster."""


class EntitySegmenter:
    """A CropFormer or Mask2Former that is ready to segment photos.

    Attributes:
        model: the network, in evaluation mode on `device`.
        preset: its architecture and default options.
        device: the device it runs on.
        name: the name or path it was loaded from.
        categories: its classes; None if it finds entities without classes.

    >>> import numpy as np
    >>> from esg import EntitySegmenter
    >>> segmenter = EntitySegmenter.from_pretrained(device="cpu")  # the bundled weights
    >>> entities = segmenter(np.full((64, 96, 3), 90, np.uint8))
    >>> entities.labels.shape
    (64, 96)
    """

    def __init__(
        self,
        model: CropFormer,
        preset: Preset,
        *,
        device: str = "auto",
        precision: str = "fp32",
        name: str = "",
        categories: str | Path | Iterable[Any] | None = None,
    ) -> None:
        """Wraps a model; `from_pretrained` also loads its weights.

        Raises:
            InputError: the categories do not fit the model, or the device or precision is not available here.
        """
        self.categories = _categories(preset, name, categories)
        self.device = choose_device(device)
        self.precision = choose_dtype(precision, self.device)
        self.model = model.eval()
        move(self.model, self.device)
        self.preset = preset
        self.name = name
        self._told: set[str] = set()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "cropformer-nano",
        *,
        device: str = "auto",
        precision: str = "fp32",
        attention: str = "auto",
        compile: bool = False,
        offload_device: str | None = None,
        categories: str | Path | Iterable[Any] | None = None,
    ) -> EntitySegmenter:
        """Loads weights by name (`esg weights list`), or from a folder or file: ours, or a published `.pth`.

        Args:
            name_or_path: name, folder or file; nothing is downloaded.
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "fp32", "bf16" or "fp16", for the network; fusion is always fp32.
            attention: one of `esg.models.layers.attention.BACKENDS`.
            compile: whether `torch.compile` compiles the network, once for each size of views, which takes minutes and
                pays for many photos of few sizes. The results are the same up to rounding. Where it is not possible,
                the network runs as it is, with one warning.
            offload_device: device that holds the weights until `to` is called, for programs that free memory first;
                None: `device`.
            categories: for a class-aware model, the names of its classes: a COCO JSON with "categories", such as the
                annotations that it was trained on, or such a list, or a list of names, see `Categories.read`. None: the
                classes are called "class 17", and all of them are things.

        Raises:
            WeightsError: the weights are missing, do not fit, or are refused.
            InputError: an option is wrong.
        """
        dtype = choose_dtype(precision, choose_device(device))
        model, preset, name = load_model(name_or_path)
        set_attention(model, attention)
        if compile:
            model.compile_levels()
        segmenter = cls(model, preset, device=offload_device or device, name=name, categories=categories)
        segmenter.precision = dtype
        return segmenter

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All networks, for programs that move them themselves and then call `to`."""
        return (self.model,)

    def to(self, device: str) -> EntitySegmenter:
        """Moves the model to another device, such as "cpu" to make room on a GPU, and returns this segmenter.

        Raises:
            InputError: the device is not available here.
        """
        before, self.device = self.device, choose_device(device)
        move(self.model, self.device)
        release_memory(before)
        return self

    def __call__(
        self,
        image: ImageLike | Predicted,
        *,
        crops: int | None = None,
        crop_ratio: float | None = None,
        fusion: str | None = None,
        min_score: float | None = None,
        min_area: int = 0,
        fill_holes: int = 0,
        remove_islands: int = 0,
        specks: int | None = None,
        views_at_once: int | None = None,
        size: int | None = None,
        max_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> EntityMap:
        """Segments a photo, without overlap.

        A class-aware model also names each segment: a panoptic model gives one for each thing and for each class of
        stuff, a semantic model one for each class, both exactly as Mask2Former defines them. The masks of an instance
        model may overlap (see `overlapping`); here, the one with the best score gets a pixel.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array; or the result of `predict`, and then no option
                of views.
            crops: number of high-resolution crops besides the full view: 0, 4 or 8. None: the preset's default, which
                is 4 for the published models and 0 for cropformer-nano; or 4 if a fusion is given.
            crop_ratio: side of a crop as a share of the photo's side, above 0 and at most 1 (δ, paper Table 9a). None:
                the preset's, 0.7 for all published models.
            fusion: predictions to build the result from (paper Table 8b): "boc" batch level, full view and crops; "bc"
                crops only; "bo" full view only; "io" image level, full view. None: "boc", or "io" if there are no crops
                or the model does not have a batch level.
            min_score: minimum score of an entity (0..0.731, for a model with classes 0..1); None: the preset's default.
            min_area: minimum area of an entity, in pixels.
            fill_holes: maximum area, in pixels, of the holes inside a single entity that are filled.
            remove_islands: minimum area, in pixels, of the separate parts of an entity; its largest part is kept.
            specks: maximum area, in pixels, of the specks that go to a neighbour, see `esg.absorb_specks`; None: the
                model's default, 0.1 % of the picture for `cropformer-nano` and 0 for published models.
            views_at_once: number of views that go through the network together; fewer need less memory and give the
                same result. None: as many as the device's free memory suggests.
            size, max_size: short and long side that every view is resized to, at least 32 pixels; None: the preset's,
                or for the long side the value in proportion to `size`.
            max_pixels: larger pictures are refused.
            progress: called as `progress(done, total, what)`; an exception from it ends the call.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is wrong.
            WeightsError: the model does not work with these weights, or not in this precision.
        """
        min_score = self.preset.min_score if min_score is None else min_score
        check_number("min_score", min_score, 0, 1)
        _check_areas(min_area=min_area, fill_holes=fill_holes, remove_islands=remove_islands, specks=specks or 0)
        predicted = self._predicted(
            image,
            max_pixels,
            progress,
            crops=crops,
            crop_ratio=crop_ratio,
            fusion=fusion,
            views_at_once=views_at_once,
            size=size,
            max_size=max_size,
        )
        return self.tidied(
            self._entities(predicted, progress),
            min_score=min_score,
            min_area=min_area,
            fill_holes=fill_holes,
            remove_islands=remove_islands,
            specks=specks,
        )

    def predict(
        self,
        image: ImageLike,
        *,
        crops: int | None = None,
        crop_ratio: float | None = None,
        fusion: str | None = None,
        views_at_once: int | None = None,
        size: int | None = None,
        max_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Predicted:
        """Runs only the network: a call and `overlapping` make different results from one prediction.

        Arguments and errors as in a call.
        """
        if crops is None:
            crops = self.preset.crops if fusion is None else 4
        check_crops(crops)
        ratio = self.preset.crop_ratio if crop_ratio is None else crop_ratio
        check_ratio(ratio)
        short, longest = self._working_size(size, max_size)
        fusion = fusion or ("boc" if crops and self.model.association is not None else "io")
        if fusion not in tuple(FUSIONS):  # `fusion` need not be hashable
            raise InputError(f"There is no fusion {fusion!r}; use one of {', '.join(FUSIONS)}.")
        mode = FUSIONS[fusion]
        if mode.level == "batch" and self.model.association is None:
            raise InputError(f"{self.name} does not have a batch level; use fusion io, or a CropFormer model.")
        pixels = read_image(image, max_pixels=max_pixels)
        batch_level = mode.level == "batch"
        views = make_views(pixels, crops=crops if batch_level else 0, short=short, longest=longest, ratio=ratio)
        indices = fusion_views(fusion, len(views.geometry))
        embeddings, features, probabilities = self._final_head(views, batch_level, views_at_once, progress)
        return Predicted(embeddings, features[indices], probabilities, views.geometry.select(indices))

    def predict_sizes(
        self,
        image: ImageLike,
        sizes: Sequence[int],
        *,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Predicted:
        """Runs the network on the full view at several sizes, and merges what it finds by Hungarian matching.

        This is the multi-scale inference of the paper's Table 7 (fifth row), which is slower and hardly better than one
        size; CropFormer uses crops instead. Raises the same errors as a call.

        Args:
            image, max_pixels, progress: as in a call.
            sizes: short sides of the view, at least one.
        """
        pixels = read_image(image, max_pixels=max_pixels)
        options: dict[str, Any] = {"crops": 0, "fusion": "io", "max_pixels": max_pixels, "progress": progress}
        return merge_scales([self.predict(pixels, size=size, **options) for size in sizes])

    def overlapping(
        self,
        image: ImageLike | Predicted,
        *,
        keep: int | None = None,
        min_score: float = 0.0,
        crops: int | None = None,
        crop_ratio: float | None = None,
        fusion: str | None = None,
        views_at_once: int | None = None,
        size: int | None = None,
        max_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> list[ScoredMask]:
        """Segments a photo into masks that may overlap, as the average precision of instance segmentation needs them.

        A score is the authors': class score times mean confidence inside the mask. For a model without classes it is on
        the same scale as the scores of a call (0..0.731); a mask that no other overlaps has the same score there. A
        panoptic model gives its things.

        Args:
            image, crops, crop_ratio, fusion, views_at_once, size, max_size, max_pixels, progress: as in a call.
            keep: maximum number of masks, those whose class scores are best; None: the preset's, 100 for the published
                Mask2Formers and all queries for the others.
            min_score: minimum score of a mask.

        Returns:
            The masks at the photo's size, by descending score.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is wrong, or the model is semantic, so its classes do not overlap.
            WeightsError: the model does not work with these weights, or not in this precision.

        >>> import numpy as np
        >>> segmenter = EntitySegmenter.from_pretrained(device="cpu")
        >>> masks = segmenter.overlapping(np.full((64, 96, 3), 90, np.uint8), keep=3)
        >>> [mask.rle["size"] for mask in masks[:1]], len(masks) <= 3
        ([[64, 96]], True)
        """
        if self.preset.task == "semantic":
            raise InputError(
                f"{self.name or 'This model'} gives every pixel one class, so its masks do not overlap; choose an "
                "entity, instance or panoptic model."
            )
        if keep is not None:
            check_whole("keep", keep, 1)
        check_number("min_score", min_score, 0, 1)
        predicted = self._predicted(
            image,
            max_pixels,
            progress,
            crops=crops,
            crop_ratio=crop_ratio,
            fusion=fusion,
            views_at_once=views_at_once,
            size=size,
            max_size=max_size,
        )
        categories = self.categories
        masks = self._overlapping(predicted, self.preset.keep if keep is None else keep, progress)
        return [
            ScoredMask(one.rle, one.score)
            if categories is None
            else ScoredMask(one.rle, one.score, categories.names[one.kind], categories.ids[one.kind])
            for one in masks
            if one.score >= min_score and (self.preset.task != "panoptic" or self._things[one.kind])
        ]

    def track(
        self,
        frames: Iterable[ImageLike],
        *,
        min_iou: float = 0.3,
        patience: int = 2,
        share: int = 1,
        tracker: Tracker | None = None,
        **options: Any,
    ) -> Iterator[TrackedFrame]:
        """Segments the frames of a clip one by one; an entity that is followed keeps its number, the id of its track.

        Args:
            frames: the frames from first to last, such as `read_frames` gives; each is dropped before the next is read.
            min_iou, patience: how entities are followed, see `track_entities`.
            share: number of consecutive frames that share queries: the batch level, which otherwise connects a photo
                with its crops, connects these frames, which are seen whole. Their entities are followed by their
                queries, and those of the next frames by overlap. 1: each frame is segmented by itself.
            tracker: continues an earlier clip, or gives access to its `tracks`; replaces `min_iou` and `patience`.
            **options: as in a call.

        Returns:
            The frames with their entities and tracks, in their order, each computed when it is asked for.

        Raises:
            InputError: an option is wrong, the model cannot share queries, or frames differ in size.
            ImageError, WeightsError: as in a call.

        >>> import numpy as np
        >>> segmenter = EntitySegmenter.from_pretrained(device="cpu")
        >>> clip = (np.full((64, 96, 3), grey, np.uint8) for grey in (90, 91))
        >>> [(frame.number, frame.labels.shape) for frame in segmenter.track(clip)]
        [(0, (64, 96)), (1, (64, 96))]
        """
        chosen = Tracker(min_iou=min_iou, patience=patience) if tracker is None else tracker
        check_whole("share", share, 1)
        if share == 1:
            return (chosen.add(self(frame, **options)) for frame in frames)
        if self.model.association is None:
            raise InputError(f"{self.name} does not have a batch level; use share 1, or a CropFormer model.")
        if options.get("crops") or options.get("fusion"):
            raise InputError("Frames that share queries are seen whole; leave out crops and fusion, or use share 1.")
        return self._track_together(frames, chosen, share, **options)

    def _track_together(
        self,
        frames: Iterable[ImageLike],
        tracker: Tracker,
        share: int,
        *,
        views_at_once: int | None = None,
        size: int | None = None,
        max_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
        crops: int | None = None,
        crop_ratio: float | None = None,
        fusion: str | None = None,
        **tidying: Any,
    ) -> Iterator[TrackedFrame]:
        """Windows of `share` frames; the last frame of a window is the first of the next, and connects the two."""
        short, longest = self._working_size(size, max_size)
        tracks: dict[int, int] = {}  # query -> track
        for number, window in enumerate(windows(frames, share)):
            views = views_of_frames([read_image(frame, max_pixels=max_pixels) for frame in window], short, longest)
            embeddings, features, probabilities = self._final_head(views, True, views_at_once, progress)
            for place in range(len(window)):
                only = views.geometry.select([place])
                fused = self._fused(Predicted(embeddings, features[[place]], probabilities, only), progress)
                entities = self.tidied(EntityMap.from_labels(fused.labels, fused.scores), **tidying)
                queries = queries_of(entities, fused)
                if number and not place:
                    tracks = dict(zip(queries, tracker.recognised(entities).tolist()))
                    continue
                tracked = tracker.add(entities, known_tracks(queries, tracks))
                tracks.update(zip(queries, tracked.ids.tolist()))
                yield tracked

    def tidied(
        self,
        entities: EntityMap,
        *,
        min_score: float | None = None,
        min_area: int = 0,
        fill_holes: int = 0,
        remove_islands: int = 0,
        specks: int | None = None,
    ) -> EntityMap:
        """The last step of a call: turns a map made with `min_score=0, specks=0` into the result for these options.

        Args:
            entities: the map; it is not changed.
            min_score, min_area, fill_holes, remove_islands, specks: as in a call.

        Raises:
            InputError: an option is wrong.
        """
        min_score = self.preset.min_score if min_score is None else min_score
        check_number("min_score", min_score, 0, 1)
        _check_areas(min_area=min_area, fill_holes=fill_holes, remove_islands=remove_islands, specks=specks or 0)
        if specks is None:
            specks = round(self.preset.specks * entities.labels.size)
        entities = cleanup.drop_weak(entities, min_score)
        if specks:
            entities = cleanup.absorb_specks(entities, specks)
        if remove_islands:
            entities = cleanup.remove_islands(entities, remove_islands)
        if fill_holes:
            entities = cleanup.fill_holes(entities, fill_holes)
        return cleanup.drop_small(entities, min_area) if min_area else entities

    def _predicted(
        self, image: ImageLike | Predicted, max_pixels: int, progress: Progress | None, **views: Any
    ) -> Predicted:
        """The prediction for a photo, or the one given, whose views are settled."""
        if not isinstance(image, Predicted):
            return self.predict(image, max_pixels=max_pixels, progress=progress, **views)
        given = [name for name, value in views.items() if value is not None]
        if given:
            raise InputError(f"{given[0]} cannot change a prediction; give it to predict instead.")
        if image.class_scores.shape[1] != self.preset.config.classes:
            raise InputError(f"The prediction is another model's; give one of {self.name or 'this model'}.")
        return image

    @property
    def _things(self) -> tuple[bool, ...]:
        return () if self.categories is None else self.categories.things

    def _entities(self, predicted: Predicted, progress: Progress | None) -> EntityMap:
        """The result without overlap, before it is tidied."""
        geometry = predicted.geometry
        if self.categories is None:
            fused = self._fused(predicted, progress)
            return EntityMap.from_labels(fused.labels, fused.scores)
        names = self.categories.names
        if self.preset.task == "instance":
            found = self._overlapping(predicted, self.preset.keep, progress)
            return EntityMap.from_masks(
                [one.rle for one in found],
                [one.score for one in found],
                size=geometry.image_size,
                names=[names[one.kind] for one in found],
            )
        segments: Segments
        if self.preset.task == "panoptic":
            segments = panoptic(
                predicted.masks(), predicted.probabilities, geometry, self.categories.things, progress=progress
            )
        else:
            segments = semantic(predicted.masks(), predicted.probabilities, geometry, progress=progress)
        return EntityMap.from_labels(segments.labels, segments.scores, [names[kind] for kind in segments.kinds])

    def _fused(self, predicted: Predicted, progress: Progress | None) -> Fusion:
        """The masks of a model without classes in one label map; made on a GPU that has the memory, or on the CPU."""
        predicted = predicted.best(self.preset.keep)
        device = predicted.features.device
        if device.type in _FUSING:
            try:
                return self._fused_by(fuse_there, predicted, progress)
            except torch.cuda.OutOfMemoryError:
                pass
            release_memory(device)
            self._tell_once(f"Not enough memory on {device} to fuse the masks there; fusing them on the CPU.")
            predicted = predicted.to("cpu")
        return self._fused_by(fuse, predicted, progress)

    def _fused_by(self, fuse: Callable[..., Fusion], predicted: Predicted, progress: Progress | None) -> Fusion:
        masks, scores = predicted.masks(), predicted.class_scores[:, 0]
        return fuse(masks, scores, predicted.geometry, stable=self.preset.stability, progress=progress)

    def _tell_once(self, message: str) -> None:
        """Logs a warning that every photo would repeat."""
        if message not in self._told:
            self._told.add(message)
            log.warning(message)

    def _overlapping(self, predicted: Predicted, keep: int | None, progress: Progress | None) -> list[Overlapping]:
        masks, scores = predicted.masks(), predicted.class_scores.cpu()
        if self.preset.stability:
            scores = scores * stability(masks, predicted.geometry)[:, None]
        return overlapping(
            masks,
            scores,
            predicted.geometry,
            keep=keep,
            second_sigmoid=self.categories is None,
            progress=progress,
        )

    def _working_size(self, size: int | None, max_size: int | None) -> tuple[int, int]:
        """The short and the long side of views; None: the preset's, and for the long side in proportion to `size`."""
        for name, side in (("size", size), ("max_size", max_size)):
            if side is not None:
                check_whole(name, side, MIN_SIDE)
        short = self.preset.size if size is None else size
        return short, round(short * self.preset.max_size / self.preset.size) if max_size is None else max_size

    def _final_head(
        self, views: Views, batch_level: bool, views_at_once: int | None, progress: Progress | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The last prediction for T views: embeddings (Q, C), features (T, C, h, w), probabilities (Q, K + 1)."""
        if views_at_once is not None:
            check_whole("views_at_once", views_at_once, 1)
        at_once = views_that_fit(views, self.device) if views_at_once is None else views_at_once

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total, Stage.VIEWS)

        with torch.inference_mode():
            output = self._forward(views, batch_level, min(at_once, len(views.pixels)), report)
            prediction = (output.batch if batch_level else output.image)[-1]
            probabilities = prediction.logits[0].float().softmax(dim=-1)
            if not probabilities.isfinite().all():
                raise WeightsError(
                    f"{self.name or 'The model'} produced scores that are NaN or infinite; use precision fp32, or "
                    "other weights."
                )
            return prediction.embeddings[0].float(), output.features[0].float(), probabilities

    def _forward(self, views: Views, batch_level: bool, at_once: int, report: Callable[[int, int], None]) -> Output:
        """The model's output; processes fewer than `at_once` views together if the device runs out of memory."""
        pixels, frames = (upload(part[None], self.device) for part in (views.pixels, views.geometry.frames))
        while True:
            try:
                with computing_in(self.precision, self.device):
                    return self.model(pixels, frames, batch_level=batch_level, views_at_once=at_once, progress=report)
            except torch.cuda.OutOfMemoryError:
                if at_once == 1:
                    height, width = views.geometry.padded_size
                    raise OutOfMemory(
                        f"{self.device} does not have enough memory for a view of {width}x{height} pixels; use a "
                        "smaller size, precision fp16 or bf16, or the device cpu."
                    ) from None
            # Outside the handler, so that nothing keeps the failed attempt's memory alive.
            release_memory(self.device)
            at_once = math.ceil(at_once / 2)
            self._tell_once(f"Not enough memory on {self.device} for all views together; computing fewer at a time.")


def _check_areas(**areas: int) -> None:
    for name, area in areas.items():
        check_whole(name, area, 0)


def load_model(name_or_path: str | Path) -> tuple[CropFormer, Preset, str]:
    """Loads a model; returns it with its preset and a readable name.

    Raises:
        WeightsError: see `EntitySegmenter.from_pretrained`.
    """
    path = locate(name_or_path, task="entity")
    state, metadata = read_state_dict(path)
    if is_official(state):
        state = convert(state, str(path))
    preset, name = _preset_of(state, metadata, name_or_path, path)
    try:
        with Unfilled():
            model = CropFormer(preset.config)
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise WeightsError(f"{path} describes an impossible model ({reason}); convert the file again.") from error
    load_strict(model, state, str(path))
    return model, preset, name


def _preset_of(
    state: dict[str, torch.Tensor], metadata: dict[str, str], asked: str | Path, path: Path
) -> tuple[Preset, str]:
    """The preset of weights: given by their name, or by the metadata or the tensor shapes of the file."""
    if is_gella(state, metadata):
        raise WeightsError(
            f"{asked} grounds words in entities but does not find entities; choose a segmenter such as cropformer-nano."
        )
    if not os.path.exists(at_home(asked)):
        name = checkpoint_named(str(asked)).name
        return PRESETS[name], name
    named = metadata.get("preset", "")
    preset = PRESETS.get(named)
    if "config" in metadata:
        try:
            config = CropFormerConfig.from_json(metadata["config"])
        except InputError as error:
            reason = str(error).rstrip(".").removesuffix("; convert the file again")
            raise WeightsError(f"{path} describes an impossible model ({reason}); convert the file again.") from None
        own = dataclasses.replace(preset, config=config) if preset else None
        return _with_own_defaults(own, config, metadata, path), named if preset else path.stem
    if preset:
        return preset, named
    name = preset_of(state, str(path))
    return PRESETS[name], name


def _with_own_defaults(preset: Preset | None, config: CropFormerConfig, metadata: dict[str, str], path: Path) -> Preset:
    """The preset of a file with its own configuration; its metadata may also have the task and the crop ratio."""
    task = metadata.get("task", "entity" if config.classes == 1 else "panoptic")
    if preset is None or (preset.task == "entity") != (task == "entity"):
        preset = Preset(config) if task == "entity" else class_aware(task, config)
    elif "task" in metadata:
        preset = dataclasses.replace(preset, task=task)
    try:
        ratio = float(metadata.get("crop_ratio", preset.crop_ratio))
        check_ratio(ratio)
    except (ValueError, InputError):
        ratio = 0.0
    if not ratio or task not in TASKS or (task == "entity" and config.classes > 1):
        raise WeightsError(f"{path} describes an impossible model (its task or crop ratio); convert the file again.")
    return dataclasses.replace(preset, crop_ratio=ratio)


def _categories(preset: Preset, name: str, given: str | Path | Iterable[Any] | None) -> Categories | None:
    """The categories of a model, from the user's list; None if it finds entities without classes."""
    classes = preset.config.classes
    if preset.task != "entity":
        return Categories.unnamed(classes) if given is None else Categories.read(given, classes)
    if given is not None:
        raise InputError(
            f"{name or 'This model'} finds entities without classes, so it has no categories; leave them out, or "
            "choose a class-aware model such as mask2former-panoptic-swin-tiny."
        )
    return None


def views_that_fit(views: Views, device: torch.device) -> int:
    """The number of views to process together: as many as a GPU's free memory allows, otherwise one.

    A CPU does not get faster with several views at once. One view of Swin-T in fp32 takes about 720 bytes per pixel at
    its peak (measured on the CPU); this assumes twice that.
    """
    if device.type != "cuda":
        return 1
    height, width = views.geometry.padded_size
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch's own, reused
    per_view = 1440 * height * width
    return max(1, min(len(views.pixels), int(free * 0.8) // per_view))
