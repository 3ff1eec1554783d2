"""The errors that ESG raises for its users: each explains in one sentence what is wrong and what to do."""

from __future__ import annotations


class EsgError(Exception):
    """A problem that the user can fix; the message is one sentence, and no stack trace is needed."""


class ImageError(EsgError):
    """A picture or an array cannot be used as an image."""


class InputError(EsgError):
    """An option, a value or a file other than a picture is wrong."""


class OutOfMemory(InputError):
    """The device does not have enough memory for the task, even in the smallest steps."""


class NoNumbers(InputError):
    """A model computed NaN or infinity, for example in fp16, or with weights that are finite but far too large.

    Args:
        what: the values that are invalid, such as "scores".
        name: name of the model, if it has one.
    """

    def __init__(self, what: str, name: str = "") -> None:
        advice = "use precision fp32, or other weights"
        super().__init__(f"{name or 'The model'} produced {what} that are NaN or infinite; {advice}.")


class WeightsError(EsgError):
    """Weights are missing, do not fit, or are refused."""


class OutputError(EsgError):
    """A result cannot be written."""
