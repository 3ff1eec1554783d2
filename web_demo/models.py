"""The models of the page: shared by all visitors, loaded when first needed, and freed on request."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from esg import DiffusionInpainting, EntitySegmenter, EsgError, Grounder, locate
from esg.support.process import return_memory

Model = TypeVar("Model", EntitySegmenter, Grounder, DiffusionInpainting)


class Models:
    """Keeps at most one model of each kind in memory, the one that was used last.

    Args:
        device: where the models compute: "auto", "cpu", "cuda" or another device of torch.
        precision: that of segmenter and grounder, as for `EntitySegmenter.from_pretrained`.
        attention: the attention backend, as for `Grounder.from_pretrained`.
        compile: whether segmenter and grounder are compiled, as for their `from_pretrained`.
    """

    def __init__(self, device: str, *, precision: str = "fp32", attention: str = "auto", compile: bool = False) -> None:
        self._place: dict[str, Any] = {"device": device, "attention": attention}
        self._network: dict[str, Any] = {**self._place, "precision": precision, "compile": compile}
        self._held: dict[type, tuple[str, EntitySegmenter | Grounder | DiffusionInpainting]] = {}
        # One per kind: photos can be segmented while a grounder is being loaded.
        self._locks: dict[type, threading.Lock] = {
            kind: threading.Lock() for kind in (EntitySegmenter, Grounder, DiffusionInpainting)
        }

    def segmenter(self, name: str) -> EntitySegmenter:
        return self._get(EntitySegmenter, name, lambda: EntitySegmenter.from_pretrained(name, **self._network))

    def grounder(self, name: str) -> Grounder:
        return self._get(Grounder, name, lambda: Grounder.from_pretrained(name, **self._network))

    def diffusion(self, name: str, *, download: bool) -> DiffusionInpainting:
        return self._get(
            DiffusionInpainting,
            name,
            lambda: DiffusionInpainting.from_pretrained(name, **self._place, download=download),
        )

    def grounder_if_free(self, name: str) -> Grounder | None:
        """The grounder of this name, which is loaded if there is no grounder in memory; other work continues meanwhile.

        None if another grounder is in memory: it is kept, since somebody may be computing with it.
        """
        with self._locks[Grounder]:
            if Grounder not in self._held:
                self._held[Grounder] = (name, Grounder.from_pretrained(name, **self._network))
            held, model = self._held[Grounder]
        assert isinstance(model, Grounder)
        return model if held == name else None

    def has(self, kind: type, name: str) -> bool:
        """Whether a model is in memory and does not have to be loaded."""
        return self._held.get(kind, ("", None))[0] == name

    @property
    def names(self) -> list[str]:
        """The names of the models in memory."""
        return [name for name, _ in list(self._held.values())]

    def free(self) -> list[str]:
        """Frees the memory of all models and returns their names; nothing may be computing with them."""
        names = self.names
        for kind in list(self._held):
            with self._locks[kind]:
                self._drop(kind)
        return_memory()
        return names

    def _get(self, kind: type[Model], name: str, load: Callable[[], Model]) -> Model:
        with self._locks[kind]:
            if not self.has(kind, name):
                self._drop(kind)
                self._held[kind] = (name, load())
            model = self._held[kind][1]
            assert isinstance(model, kind)
            return model

    def _drop(self, kind: type) -> None:
        _, model = self._held.pop(kind, ("", None))
        if model is not None:
            model.to("cpu")  # also frees the GPU's memory; nothing computes with it, since there is only one worker
            del model
            gc.collect()


def short_name(name: str) -> str:
    """The model's name on the page: for a file, its name without the suffix."""
    return Path(name).stem if Path(name).exists() else name


def loading(name: str, task: str) -> str:
    """The text to show while a model is loaded: its name and the size of its file.

    Args:
        name: the model's name or path, as for `from_pretrained`.
        task: "entity" or "grounding".
    """
    short = short_name(name)
    try:
        path = locate(name, task=task)
    except EsgError:  # public models, which consist of several files
        return f"Loading {short}"
    return (
        f"Loading {short} ({max(1, round(path.stat().st_size / 1e6)):,} MB)" if path.is_file() else f"Loading {short}"
    )
