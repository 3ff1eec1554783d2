"""Hides library messages meant for programmers, such as deprecations, from the user."""

from __future__ import annotations

import logging
import re
import warnings

_FOR_PROGRAMMERS = re.compile(r"deprecat|will be removed|has been renamed", re.IGNORECASE)
_LIBRARIES = ("transformers", "diffusers", "huggingface_hub")


class _NothingDeprecated(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _FOR_PROGRAMMERS.search(record.getMessage())


_filter = _NothingDeprecated()


def drop_deprecations() -> None:
    """Suppresses deprecation messages of the imported libraries; calling it again changes nothing.

    A logger's filter does not see messages from its child loggers, so the filter is attached to the handlers.
    """
    for kind in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings(
            "ignore", message=".*deprecated", category=kind, module=r"(torch|transformers|diffusers)\."
        )
    for name in _LIBRARIES:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_filter)
