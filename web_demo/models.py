"""The models of the page: shared by all visitors, loaded when first needed, given up on request."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import TypeVar

from esg import DiffusionInpainting, EntitySegmenter, Grounder

Model = TypeVar("Model", EntitySegmenter, Grounder, DiffusionInpainting)


class Models:
    """One model of each kind at most is in memory, whichever was used last.

    Args:
        device: where they compute, "auto", "cpu", "cuda" …
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._held: dict[type, tuple[str, EntitySegmenter | Grounder | DiffusionInpainting]] = {}
        self._lock = threading.Lock()

    def segmenter(self, name: str) -> EntitySegmenter:
        return self._get(EntitySegmenter, name, lambda: EntitySegmenter.from_pretrained(name, device=self.device))

    def grounder(self, name: str) -> Grounder:
        return self._get(Grounder, name, lambda: Grounder.from_pretrained(name, device=self.device))

    def diffusion(self, name: str, *, download: bool) -> DiffusionInpainting:
        return self._get(
            DiffusionInpainting,
            name,
            lambda: DiffusionInpainting.from_pretrained(name, device=self.device, download=download),
        )

    def has(self, kind: type, name: str) -> bool:
        """Whether it is in memory, and so needs no loading."""
        return self._held.get(kind, ("", None))[0] == name

    @property
    def names(self) -> list[str]:
        """What is in memory."""
        return [name for name, _ in list(self._held.values())]

    def free(self) -> list[str]:
        """Gives up the memory of all models, while nobody computes with them; → their names."""
        with self._lock:
            names = self.names
            for kind in list(self._held):
                self._drop(kind)
        return names

    def _get(self, kind: type[Model], name: str, load: Callable[[], Model]) -> Model:
        with self._lock:
            if not self.has(kind, name):
                self._drop(kind)
                self._held[kind] = (name, load())
            model = self._held[kind][1]
            assert isinstance(model, kind)
            return model

    def _drop(self, kind: type) -> None:
        _, model = self._held.pop(kind, ("", None))
        if model is not None:
            model.to("cpu")  # which also gives a GPU's memory back; nobody computes: see the queue's group in page.py
            del model
            gc.collect()
