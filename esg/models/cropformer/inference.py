"""Runs a CropFormer in steps that fit into the memory of its device."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

import torch

from ...support.checks import check_whole
from ...support.device import choose_device, computing_in, move, release_memory, upload
from ...support.errors import OutOfMemory, WeightsError
from ...support.progress import Progress, Stage
from .device_fusion import fuse_there
from .fusion import Fusion, fuse
from .model import CropFormer, Output
from .predicted import Predicted
from .views import Views

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_FUSING = {"cuda"}
"""Kinds of devices that fuse masks themselves; elsewhere the CPU is faster."""


class CropFormerInference:
    """A model on a device, and the steps that can run out of the device's memory.

    Attributes:
        model: the network, in evaluation mode.
        device: the device that it is on.
        precision: the floating-point type that the network computes in; fusion is always float32.
        name: the model's name in messages.
    """

    def __init__(self, model: CropFormer, device: torch.device, precision: torch.dtype, name: str = "") -> None:
        self.model = model.eval()
        self.device = device
        self.precision = precision
        self.name = name
        move(self.model, device)
        self._warn = cache(log.warning)  # what every photo would repeat is said once

    def to(self, device: str) -> None:
        """Moves the model to another device.

        Raises:
            InputError: the device is not available here.
        """
        before, self.device = self.device, choose_device(device)
        move(self.model, self.device)
        release_memory(before)

    def predict(
        self,
        views: Views,
        *,
        batch_level: bool,
        views_at_once: int | None = None,
        progress: Progress | None = None,
    ) -> Predicted:
        """The last prediction for T views.

        Args:
            views: the views.
            batch_level: whether the prediction is that of the batch level, for all views together; otherwise that of
                the image level for the first view.
            views_at_once: number of views that go through the network together; None: see `views_that_fit`.
            progress: called after each of these steps.

        Raises:
            InputError: `views_at_once` is not a whole number above 0.
            OutOfMemory: the device does not have enough memory for a single view.
            WeightsError: the scores are not numbers.
        """
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
            embeddings, features = prediction.embeddings[0].float(), output.features[0].float()
            return Predicted(embeddings, features, probabilities, views.geometry)

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
            self._warn(f"Not enough memory on {self.device} for all views together; computing fewer at a time.")

    def fuse(self, predicted: Predicted, *, stable: bool = False, progress: Progress | None = None) -> Fusion:
        """The masks of a model without classes in one label map; made on a GPU that has the memory, or on the CPU.

        Args:
            predicted: the prediction.
            stable: as for `fusion.fuse`.
            progress: called after each row of tiles.
        """

        def fused(method: Callable[..., Fusion], one: Predicted) -> Fusion:
            return method(one.masks(), one.class_scores[:, 0], one.geometry, stable=stable, progress=progress)

        there = fuse_there if predicted.features.device.type in _FUSING else fuse
        return self.merge(predicted, partial(fused, there), partial(fused, fuse))

    def merge(
        self,
        predicted: Predicted,
        method: Callable[[Predicted], Result],
        on_cpu: Callable[[Predicted], Result] | None = None,
    ) -> Result:
        """The result of `method` for a prediction; if its device lacks the memory, that of `on_cpu` for a copy there.

        Without `on_cpu`, `method` is called for both.
        """
        device = predicted.features.device
        try:
            return method(predicted)
        except torch.cuda.OutOfMemoryError:
            pass
        # Outside the handler, so that nothing keeps the failed attempt's memory alive.
        release_memory(device)
        self._warn(f"Not enough memory on {device} to merge the masks there; merging them on the CPU.")
        return (on_cpu or method)(predicted.to("cpu"))


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
