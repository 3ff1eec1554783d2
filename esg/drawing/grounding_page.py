"""A grounding as a single HTML page: pointing at a phrase highlights its entities, and the other way round.

The page is self-contained and loads nothing from elsewhere. Captions are treated as data: they are embedded as JSON
without characters that are special in HTML, and shown as text.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..entities.entity_map import EntityMap
from ..entities.grounding import Grounding
from ..support.errors import InputError
from .grounding_picture import phrase_colours, shrink
from .typesetting import ink_on

LONGEST = 1600  # pixels of the photo in the page
_TEMPLATE = Path(__file__).with_suffix(".html")


def grounding_page(
    image: np.ndarray, entities: EntityMap, grounding: Grounding, *, title: str, icc_profile: bytes | None = None
) -> str:
    """Makes the page.

    Args:
        image: (H, W, 3) uint8 RGB, the picture of the map.
        entities: the map of the picture.
        grounding: a grounding with the map's ids.
        title: any text.
        icc_profile: ICC profile of the picture, see `Photo.profile`.

    Returns:
        HTML, to save as UTF-8.

    Raises:
        InputError: the picture does not belong to the map, or there are more than 65,535 entities.

    >>> photo, entities = np.zeros((40, 60, 3), np.uint8), EntityMap.from_labels(np.ones((40, 60), int))
    >>> page = grounding_page(photo, entities, Grounding("A dog."), title="My dog")
    >>> "<title>My dog</title>" in page
    True
    """
    entities.check_image(image)
    if len(entities) > np.iinfo(np.uint16).max:
        raise InputError(
            f"A page can show at most 65,535 entities, but there are {len(entities):,}; drop the smallest."
        )
    values = {
        "title": html.escape(title),
        "caption": html.escape(grounding.caption),
        "data": _json(_data(image, entities, grounding, icc_profile)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _data(image: np.ndarray, entities: EntityMap, grounding: Grounding, icc_profile: bytes | None) -> dict[str, Any]:
    photo, labels = shrink(image, entities.labels, LONGEST)
    height, width = labels.shape
    jpeg = io.BytesIO()
    Image.fromarray(photo).save(jpeg, "JPEG", quality=90, icc_profile=icc_profile)
    packed = zlib.compress(labels.astype("<u2").tobytes(), 9)  # a browser would apply colour management to a PNG
    return {
        "width": width,
        "height": height,
        "photo": f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}",
        "labels": base64.b64encode(packed).decode(),
        "entities": len(entities),
        "pieces": _pieces(grounding),
        "phrases": [
            {
                "text": phrase.text,
                "ids": phrase.entity_ids,
                "scores": phrase.scores,
                "colour": colour,
                "ink": colour and "#{:02x}{:02x}{:02x}".format(*ink_on(colour)),
            }
            for phrase, colour in zip(grounding.phrases, phrase_colours(grounding))
        ],
    }


def _pieces(grounding: Grounding) -> list[dict[str, Any]]:
    """The caption in pieces, each with the numbers of the phrases it belongs to; phrases may overlap."""
    spans = [phrase.span for phrase in grounding.phrases]
    cuts = sorted({0, len(grounding.caption), *(bound for span in spans for bound in span)})
    return [
        {
            "text": grounding.caption[start:end],
            "phrases": [number for number, span in enumerate(spans) if span[0] <= start and end <= span[1]],
        }
        for start, end in zip(cuts, cuts[1:])
    ]


def _json(content: dict[str, Any]) -> str:
    """JSON in which no text can end the surrounding script element."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
