"""The settings of a run that decide which files it writes and what is in them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..support.limits import MAX_PIXELS

FORMATS = ("parquet", "png")


@dataclass(frozen=True)
class Settings:
    """The settings of a run, the same for every worker. A run can only be resumed with the settings it began with.

    Attributes:
        model, precision, device, attention, compile: as for `EntitySegmenter.from_pretrained`; when a run is
            resumed, the last three may differ.
        crops, size, max_size, min_score, min_area, max_pixels: as for a call of `EntitySegmenter`.
        captions: whether to write a caption for each photo and ground its nouns.
        phrases: phrases to ground in each photo instead.
        grounder: the model for either.
        formats: of `FORMATS`.
        layout, order: of `layouts.LAYOUTS` and `layouts.ORDERS`, for label PNGs.
        stride: only every n-th picture of each folder is used.
        threads: CPU threads of a worker; None: PyTorch decides.
    """

    model: str = "cropformer-nano"
    precision: str = "fp32"
    device: str = "auto"
    attention: str = "auto"
    compile: bool = False
    crops: int | None = None
    size: int | None = None
    max_size: int | None = None
    min_score: float | None = None
    min_area: int = 0
    max_pixels: int = MAX_PIXELS
    captions: bool = False
    phrases: tuple[str, ...] = ()
    grounder: str = "gella-nano"
    formats: tuple[str, ...] = ("parquet",)
    layout: str = "flat"
    order: str = "best-first"
    stride: int = 1
    threads: int | None = None

    @property
    def grounds(self) -> bool:
        """Whether words are grounded."""
        return self.captions or bool(self.phrases)

    def to_json(self) -> str:
        """The settings as JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The inverse of `to_json`; settings of other versions of ESG are ignored."""
        known = {field.name for field in fields(cls)}
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
            if name in known
        }
        return cls(**settings)

    def for_results(self) -> dict[str, Any]:
        """The settings that decide what the results are, by name."""
        machine = ("device", "attention", "compile", "threads")
        return {name: value for name, value in asdict(self).items() if name not in machine}
