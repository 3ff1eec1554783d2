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


class NoNumbers(InputError):
    """What a model computes is NaN or infinite, as in fp16, or with weights that are finite but far too large.

    Args:
        what: that are none, such as "scores".
        name: of the model, if it has one.
    """

    def __init__(self, what: str, name: str = "") -> None:
        advice = "use precision fp32, or other weights"
        super().__init__(f"{name or 'The model'} gives {what} that are no numbers; {advice}.")


class WeightsError(EsgError):
    """Weights are missing, do not fit, or are refused."""


class OutputError(EsgError):
    """A result cannot be written."""
