"""Segments pictures, but does not run the network again on recent ones."""

from __future__ import annotations

import hashlib
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..esg import EntityMap, Stage
from .host import host, of_one
from .loading import Loaded
from .values import pictures

MOST = 256 << 20  # bytes kept for each segmenter; compression reduces a map to about a hundredth of its size


class Recent:
    """The most recent maps, compressed, by the picture and options that they were made from."""

    def __init__(self) -> None:
        self._packed: OrderedDict[Hashable, tuple[bytes, np.dtype[Any], tuple[int, ...], Any, Any]] = OrderedDict()

    def get(self, key: Hashable) -> EntityMap | None:
        """The map of this key, or None."""
        if key not in self._packed:
            return None
        self._packed.move_to_end(key)
        labels, dtype, shape, scores, names = self._packed[key]
        unpacked = np.frombuffer(zlib.decompress(labels), dtype).reshape(shape)
        return EntityMap(unpacked.astype(np.int32), scores, names)

    def put(self, key: Hashable, found: EntityMap) -> None:
        """Keeps a map, and drops the oldest ones if there is not enough room."""
        labels = found.labels.astype(np.min_scalar_type(len(found)))
        self._packed[key] = zlib.compress(labels.data, 1), labels.dtype, labels.shape, found.scores, found.names
        while sum(len(one[0]) for one in self._packed.values()) > MOST:
            self._packed.popitem(last=False)


# Kept for each segmenter as long as it is loaded.
_RECENT: weakref.WeakKeyDictionary[Loaded, Recent] = weakref.WeakKeyDictionary()


def segmented(
    segmenter: Loaded, image: Tensor, options: dict[str, Any], filters: dict[str, Any]
) -> Iterator[EntityMap]:
    """The entities of each picture, one after the other.

    Args:
        segmenter: from Load Segmenter.
        image: IMAGE.
        options: options of the segmenter that change the result of its network.
        filters: arguments of `EntitySegmenter.tidied`.
    """
    photos = pictures(image)
    show = host().progress()
    recent = _RECENT.setdefault(segmenter, Recent())
    for index, photo in enumerate(photos):
        report = of_one(show, index, len(photos))
        key = hashlib.sha256(photo.data).digest(), photo.shape, *sorted(options.items())
        found = recent.get(key)
        if found is None:
            found = segmenter.ready()(photo, min_score=0, specks=0, progress=report, **options)
            recent.put(key, found)
        else:
            report(1, 1, Stage.FUSION)
        yield segmenter.model.tidied(found, **filters)
