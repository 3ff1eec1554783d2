"""The errors that ESG raises for its users: each says in one sentence what is wrong and what to do."""

from __future__ import annotations


class EsgError(Exception):
    """Something that the user can put right; the message is one sentence and needs no stack trace."""


class ImageError(EsgError):
    """A picture or an array cannot be used as an image."""


class InputError(EsgError):
    """An option, a value or a file other than a picture is wrong."""


class OutOfMemory(InputError):
    """The device has too little memory for what is asked, in the smallest steps, too."""


class WeightsError(EsgError):
    """Weights are missing, do not fit, or are refused."""


class OutputError(EsgError):
    """A result cannot be written."""
