"""Masks, pictures and maps that are computed only when a node uses them: most outputs are not connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..esg import EntityMap
from .host import host

# Properties of a tensor that are known before it is computed. ComfyUI reads some of them to estimate memory.
_KNOWN = {
    Tensor.__len__,
    Tensor.device.__get__,  # type: ignore[attr-defined]
    Tensor.dim,
    Tensor.dtype.__get__,  # type: ignore[attr-defined]
    Tensor.element_size,
    Tensor.is_floating_point,
    Tensor.layout.__get__,  # type: ignore[attr-defined]
    Tensor.nbytes.__get__,  # type: ignore[attr-defined]
    Tensor.ndim.__get__,  # type: ignore[attr-defined]
    Tensor.nelement,
    Tensor.numel,
    Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
    Tensor.shape.__get__,  # type: ignore[attr-defined]
    Tensor.size,
}


class LaterMaps(Sequence[EntityMap]):
    """The maps of some pictures, each computed when it is first needed, and then kept."""

    def __init__(self, count: int, make: Callable[[int], EntityMap]) -> None:
        self._found: list[EntityMap | None] = [None] * count
        self._make = make

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return tuple(self[k] for k in range(*place.indices(len(self))))
        if self._found[place] is None:
            self._found[place] = self._make(range(len(self))[place])
        return self._found[place]


class Later(Tensor):
    """A float32 tensor for any node, computed when its values are first needed, and then kept.

    For torch it is a tensor like any other, and every operation on it returns an ordinary tensor. An error in computing
    it is an error of the node that uses it.
    """

    _make: Callable[[], Tensor] | None
    _made: Tensor | None
    batch: tuple[int, int] | None = None  # for masks, if known: index of their batch of pictures, number of batches

    @staticmethod
    def __new__(cls, shape: Sequence[int], make: Callable[[], Tensor]) -> Later:
        """`make` returns a float32 tensor of this shape on the host's device for results."""
        later: Later = Tensor._make_wrapper_subclass(cls, [*shape], dtype=torch.float32, device=host().results())
        later._make, later._made = make, None
        return later

    def __init__(self, shape: Sequence[int], make: Callable[[], Tensor]) -> None:
        super().__init__()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Later({list(self.shape)})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _KNOWN:
            return super().__torch_function__(func, types, args, kwargs or {})
        return func(*tree_map(_made, args), **tree_map(_made, kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Operations that torch calls internally."""
        return func(*tree_map(_made, args), **tree_map(_made, kwargs or {}))


def _made(value: Any) -> Any:
    if not isinstance(value, Later):
        return value
    if value._made is None:
        assert value._make is not None
        value._made = value._make()
        value._make = None  # frees the data that it was made from
    return value._made
