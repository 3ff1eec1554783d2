"""EntitySegmenter: segments a photo into its entities, or into segments with classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .entities import tidying as cleanup
from .entities.categories import Categories
from .entities.entity_map import EntityMap
from .entities.scored_masks import ScoredMask
from .entities.tracking import TrackedFrame, Tracker
from .models.cropformer.clips import known_tracks, queries_of, views_of_frames, windows
from .models.cropformer.config import Preset
from .models.cropformer.fusion import FUSIONS, Fusion, fusion_views
from .models.cropformer.inference import CropFormerInference
from .models.cropformer.model import CropFormer
from .models.cropformer.predicted import Predicted
from .models.cropformer.results import scored_masks, with_classes
from .models.cropformer.scales import merge_scales
from .models.cropformer.views import check_crops, check_ratio, make_views
from .models.layers.attention import set_attention
from .pictures.reading import ImageLike, read_image
from .support.checks import check_number, check_whole
from .support.device import choose_device, choose_dtype
from .support.errors import InputError
from .support.limits import MAX_PIXELS, MIN_SIDE
from .support.progress import Progress
from .weights.loading import load_segmenter


class EntitySegmenter:
    """A CropFormer or Mask2Former that is ready to segment photos.

    Attributes:
        preset: architecture and default options of the model.
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
        chosen = choose_device(device)
        self._inference = CropFormerInference(model, chosen, choose_dtype(precision, chosen), name)
        self.preset = preset
        self.name = name

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
        model, preset, name = load_segmenter(name_or_path)
        set_attention(model, attention)
        if compile:
            model.compile_levels()
        segmenter = cls(model, preset, device=offload_device or device, name=name, categories=categories)
        segmenter._inference.precision = dtype
        return segmenter

    @property
    def model(self) -> CropFormer:
        """The network, in evaluation mode on `device`."""
        return self._inference.model

    @property
    def device(self) -> torch.device:
        """The device that the network runs on."""
        return self._inference.device

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All networks, for programs that move them themselves and then call `to`."""
        return (self.model,)

    def to(self, device: str) -> EntitySegmenter:
        """Moves the model to another device, such as "cpu" to make room on a GPU, and returns this segmenter.

        Raises:
            InputError: the device is not available here.
        """
        self._inference.to(device)
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
        predicted = self._inference.predict(
            views, batch_level=batch_level, views_at_once=views_at_once, progress=progress
        )
        return predicted.of_views(indices)

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
        return self._inference.merge(
            predicted,
            lambda one: scored_masks(
                one, self.preset, self.categories, keep=keep, min_score=min_score, progress=progress
            ),
        )

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
            predicted = self._inference.predict(views, batch_level=True, views_at_once=views_at_once, progress=progress)
            for place in range(len(window)):
                fused = self._fused(predicted.of_views([place]), progress)
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

    def _entities(self, predicted: Predicted, progress: Progress | None) -> EntityMap:
        """The result without overlap, before it is tidied."""
        categories = self.categories
        if categories is not None:
            return self._inference.merge(predicted, lambda one: with_classes(one, self.preset, categories, progress))
        fused = self._fused(predicted, progress)
        return EntityMap.from_labels(fused.labels, fused.scores)

    def _fused(self, predicted: Predicted, progress: Progress | None) -> Fusion:
        """The masks of a model without classes in one label map."""
        best = predicted.best(self.preset.keep)
        return self._inference.fuse(best, stable=self.preset.stability, progress=progress)

    def _working_size(self, size: int | None, max_size: int | None) -> tuple[int, int]:
        """The short and the long side of views; None: the preset's, and for the long side in proportion to `size`."""
        for name, side in (("size", size), ("max_size", max_size)):
            if side is not None:
                check_whole(name, side, MIN_SIDE)
        short = self.preset.size if size is None else size
        return short, round(short * self.preset.max_size / self.preset.size) if max_size is None else max_size


def _check_areas(**areas: int) -> None:
    for name, area in areas.items():
        check_whole(name, area, 0)


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
