"""Messages of libraries for programmers are hidden, and all others are shown."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from esg.support.quiet import drop_deprecations


def test_deprecations_are_dropped_and_other_warnings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Screen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    library, screen = logging.getLogger("transformers"), Screen()
    library.addHandler(screen)
    try:
        for _ in range(2):
            drop_deprecations()
        below = logging.getLogger("transformers.utils.generic")
        monkeypatch.setattr(below, "level", logging.WARNING)  # whatever other tests have set above it
        monkeypatch.setattr(below, "disabled", False)
        below.manager._clear_cache()  # type: ignore[attr-defined]
        below.warning("`past_key_values` are deprecated. Use `cache` instead.")
        below.warning("Some weights were not initialised.")
    finally:
        library.removeHandler(screen)
    assert shown == ["Some weights were not initialised."]


def test_warnings_of_libraries_alone_are_dropped() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drop_deprecations()
        for module in ("transformers.models.llama", "mine"):
            warnings.warn_explicit("`a` is deprecated", FutureWarning, "file.py", 1, module=module)
        warnings.warn_explicit("weights look odd", UserWarning, "file.py", 1, module="transformers.models.llama")
    assert [str(one.message) for one in caught] == ["`a` is deprecated", "weights look odd"]


@pytest.mark.slow
def test_grounding_a_caption_leaves_the_screen_clean(tmp_path: Path) -> None:
    program = (
        "import numpy as np; from esg import EntityMap, Grounder\n"
        "labels = np.zeros((40, 60), int); labels[10:30, 10:30] = 1\n"
        "image = np.full((40, 60, 3), 170, np.uint8); image[labels == 1] = (200, 30, 30)\n"
        "Grounder.from_pretrained('gella-nano')(image, EntityMap.from_labels(labels), 'A red disc on a grey wall.')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")
