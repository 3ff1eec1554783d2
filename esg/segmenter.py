"""EntitySegmenter: segments a photo into its entities."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from .entities import tidying as cleanup
from .entities.entity_map import EntityMap
from .models.cropformer.checkpoints import convert, is_official, load_strict, preset_of
from .models.cropformer.config import PRESETS, CropFormerConfig, Preset
from .models.cropformer.fusion import FUSIONS, fuse, fusion_views
from .models.cropformer.model import CropFormer, Output
from .models.cropformer.views import Views, check_crops, make_views
from .models.gella.file_kind import is_gella
from .models.layers.attention import set_attention
from .pictures.reading import ImageLike, read_image
from .support.checks import check_number, check_whole
from .support.device import choose_device, choose_dtype, computing_in, release_memory
from .support.errors import InputError, OutOfMemory, WeightsError
from .support.files import at_home
from .support.limits import MAX_PIXELS, MIN_SIDE
from .support.progress import Progress, Stage
from .support.weight_files import read_state_dict
from .weights.catalogue import checkpoint_named
from .weights.finding import locate

log = logging.getLogger(__name__)


class EntitySegmenter:
    """A CropFormer or Mask2Former that is ready to segment photos.

    Attributes:
        model: the network, in evaluation mode on `device`.
        preset: its architecture and default options.
        device: the device it runs on.
        name: the name or path it was loaded from.

    >>> import numpy as np
    >>> from esg import EntitySegmenter
    >>> segmenter = EntitySegmenter.from_pretrained(device="cpu")  # the bundled weights
    >>> entities = segmenter(np.full((64, 96, 3), 90, np.uint8))
    >>> entities.labels.shape
    (64, 96)
    """

    def __init__(
        self, model: CropFormer, preset: Preset, *, device: str = "auto", precision: str = "fp32", name: str = ""
    ) -> None:
        """Wraps a model; `from_pretrained` also loads its weights.

        Raises:
            InputError: the preset is class-aware, or the device or precision is not available here.
        """
        if preset.task != "entity":
            raise InputError(
                f"{name or 'This model'} predicts {preset.task} classes and only gives raw heads; "
                "choose a model for entities, such as cropformer-nano."
            )
        self.device = choose_device(device)
        self.precision = choose_dtype(precision, self.device)
        self.model = model.eval().to(self.device)
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
        offload_device: str | None = None,
    ) -> EntitySegmenter:
        """Loads weights by name (`esg weights list`), or from a folder or file: ours, or a published `.pth`.

        Args:
            name_or_path: name, folder or file; nothing is downloaded.
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "fp32", "bf16" or "fp16", for the network; fusion is always fp32.
            attention: one of `esg.models.layers.attention.BACKENDS`.
            offload_device: device that holds the weights until `to` is called, for programs that free memory first;
                None: `device`.

        Raises:
            WeightsError: the weights are missing, do not fit, or are refused.
            InputError: an option is wrong.
        """
        dtype = choose_dtype(precision, choose_device(device))
        model, preset, name = load_model(name_or_path)
        set_attention(model, attention)
        segmenter = cls(model, preset, device=offload_device or device, name=name)
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
        self.model.to(self.device)
        release_memory(before)
        return self

    def __call__(
        self,
        image: ImageLike,
        *,
        crops: int | None = None,
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
        """Segments a photo.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            crops: number of high-resolution crops besides the full view: 0, 4 or 8. None: the preset's default, which
                is 4 for the published models and 0 for cropformer-nano; or 4 if a fusion is given.
            fusion: predictions to build the result from (paper Table 8b): "boc" batch level, full view and crops; "bc"
                crops only; "bo" full view only; "io" image level, full view. None: "boc", or "io" if there are no crops
                or the model does not have a batch level.
            min_score: minimum score of an entity (0..0.731); None: the preset's default.
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
        if crops is None:
            crops = self.preset.crops if fusion is None else 4
        check_crops(crops)
        for name, side in (("size", size), ("max_size", max_size)):
            if side is not None:
                check_whole(name, side, MIN_SIDE)
        min_score = self.preset.min_score if min_score is None else min_score
        check_number("min_score", min_score, 0, 1)
        areas = {
            "min_area": min_area,
            "fill_holes": fill_holes,
            "remove_islands": remove_islands,
            "specks": specks or 0,
        }
        for name, area in areas.items():
            check_whole(name, area, 0)
        if views_at_once is not None:
            check_whole("views_at_once", views_at_once, 1)
        fusion = fusion or ("boc" if crops and self.model.association is not None else "io")
        if fusion not in tuple(FUSIONS):  # `fusion` need not be hashable
            raise InputError(f"There is no fusion {fusion!r}; use one of {', '.join(FUSIONS)}.")
        mode = FUSIONS[fusion]
        if mode.level == "batch" and self.model.association is None:
            raise InputError(f"{self.name} does not have a batch level; use fusion io, or a CropFormer model.")
        pixels = read_image(image, max_pixels=max_pixels)
        short = self.preset.size if size is None else size
        if max_size is None:
            max_size = round(short * self.preset.max_size / self.preset.size)
        views = make_views(pixels, crops=crops if mode.level == "batch" else 0, short=short, longest=max_size)
        indices = fusion_views(fusion, len(views.geometry))
        masks, scores = self._predict(views, mode.level == "batch", indices, views_at_once, progress)
        geometry = views.geometry.select(indices)
        fused = fuse(masks, scores, geometry, stable=self.preset.stability, progress=progress)
        del masks
        return self.tidied(
            EntityMap.from_labels(fused.labels, fused.scores),
            min_score=min_score,
            min_area=min_area,
            fill_holes=fill_holes,
            remove_islands=remove_islands,
            specks=specks,
        )

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
        _check_areas(min_area=min_area, fill_holes=fill_holes, remove_islands=remove_islands, specks=specks)
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

    def _predict(
        self, views: Views, batch_level: bool, indices: list[int], at_once: int | None, progress: Progress | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits (Q, T, h, w) of the chosen views and class scores (Q,), for at most `keep` queries."""
        count = len(views.pixels)
        if at_once is None:
            at_once = views_that_fit(views, self.device)

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total, Stage.VIEWS)

        with torch.inference_mode():
            output = self._forward(views, batch_level, min(at_once, count), report)
            prediction = (output.batch if batch_level else output.image)[-1]
            scores = prediction.logits[0].float().softmax(dim=-1)[:, 0]  # (Q,)
            if not scores.isfinite().all():
                raise WeightsError(
                    f"{self.name or 'The model'} produced scores that are NaN or infinite; use precision fp32, or "
                    "other weights."
                )
            keep = self.preset.keep
            best = (
                torch.arange(len(scores)) if keep is None else scores.topk(min(keep, len(scores))).indices.sort().values
            )
            embeddings = prediction.embeddings[0, best].float()
            features = output.features[0, indices].float()  # (T, C, h, w)
            return torch.einsum("qc,tchw->qthw", embeddings, features), scores[best]

    def _forward(self, views: Views, batch_level: bool, at_once: int, report: Callable[[int, int], None]) -> Output:
        """The model's output; processes fewer than `at_once` views together if the device runs out of memory."""
        pixels, frames = views.pixels[None].to(self.device), views.geometry.frames[None].to(self.device)
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
            torch.cuda.empty_cache()
            at_once = math.ceil(at_once / 2)
            log.warning("Not enough memory for all views together; continuing with %d at a time.", at_once)


def _check_areas(**areas: int | None) -> None:
    for name, area in areas.items():
        if area is not None:
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
        with torch.device("meta"):
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
        config = CropFormerConfig.from_json(metadata["config"])
        return (dataclasses.replace(preset, config=config), named) if preset else (Preset(config), path.stem)
    if preset:
        return preset, named
    name = preset_of(state, str(path))
    return PRESETS[name], name


def views_that_fit(views: Views, device: torch.device) -> int:
    """The number of views to process together: as many as a GPU's free memory allows, otherwise one.

    A CPU does not get faster with several views at once. One view of Swin-T in fp32 takes about 720 bytes per pixel at
    its peak (measured on the CPU); this assumes twice that.
    """
    if device.type != "cuda":
        return 1
    height, width = views.geometry.padded_size
    free, _ = torch.cuda.mem_get_info(device)
    per_view = 1440 * height * width
    return max(1, min(len(views.pixels), int(free * 0.8) // per_view))
