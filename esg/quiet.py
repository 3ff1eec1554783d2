"""Keeps what libraries say to programmers, such as that a name is deprecated, off the user's screen."""

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
    """Lets no such message of the libraries through, those that are imported; to call it again changes nothing.

    A filter of a logger does not see what comes from those below it, so it sits at the handlers.
    """
    for kind in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings(
            "ignore", message=".*deprecated", category=kind, module=r"(torch|transformers|diffusers)\."
        )
    for name in _LIBRARIES:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_filter)
