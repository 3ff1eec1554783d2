"""The errors that ESG raises for its users: each explains in one sentence what is wrong and what to do.

What to do may depend on where the user is: an option of the command line is a switch on the page. Such advice travels
beside the message, and each face has its own words for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path


class Advice(Enum):
    """Something that the user can do, with its wording for Python."""

    MAX_PIXELS = "raise max_pixels if you trust the file"
    DOWNLOAD = "pass download=True to download it"
    WEIGHTS = "see `esg weights list` for files that do"
    QUANTISED = "or load the model without -8bit and -4bit"
    WRITER = 'give a caption or a list of phrases, or load "zero-shot", which has a language model'
    OPENCV = "install it with `pip install opencv-python-headless`, or ESG with `pip install esg[demo]`"
    GROUND = "ground a text on these entities first"
    MASKS = "if it holds masks, give it to `read_masks`"
    STORED_PIXELS = 'pass pixels="stored" if they fit its stored pixels'
    SMALLER_ON_TOP = 'pass order="smaller" to keep parts of larger masks'
    VOID = "pass void=-1 if it is an entity"
    NOT_VOID = "pass its number as void if it is not an entity"
    NOT_ZERO = "pass void=0 if it is not an entity"


class Sentence:
    """A message and, if there is any, the advice that goes with it. Also works as the message of a log record.

    >>> sentence = Sentence("a.png has too many pixels.", Advice.MAX_PIXELS)
    >>> str(sentence)
    'a.png has too many pixels; raise max_pixels if you trust the file.'
    >>> sentence.worded({Advice.MAX_PIXELS: "use a smaller picture"})
    'a.png has too many pixels; use a smaller picture.'
    >>> sentence.worded({})
    'a.png has too many pixels.'
    """

    def __init__(self, message: str, advice: Advice | None = None) -> None:
        self.message = message
        self.advice = advice

    def worded(self, words: Mapping[Advice, str]) -> str:
        """The message, and the advice in the words of a face; without it, if the face has none for it."""
        if self.advice is None or self.advice not in words:
            return self.message
        return f"{self.message.rstrip('.')}; {words[self.advice]}."

    def __str__(self) -> str:
        return self.worded(PYTHON)


PYTHON = {advice: advice.value for advice in Advice}


class EsgError(Exception):
    """A problem that the user can fix; the message is one sentence, and no stack trace is needed.

    Attributes:
        sentence: the message, with the advice apart.
    """

    def __init__(self, message: str, advice: Advice | None = None) -> None:
        self.sentence = Sentence(message, advice)
        super().__init__(*((message,) if advice is None else (message, advice)))  # for a copy in another process

    def __str__(self) -> str:
        return str(self.sentence)

    def renamed(self, path: str | Path, name: str | Path) -> EsgError:
        """The same error about a file under the name that the user knows, not under that of a copy of it.

        >>> raise ImageError("/tmp/x/picture is empty.").renamed("/tmp/x/picture", "photos.tar#a.jpg")
        Traceback (most recent call last):
        esg.support.errors.ImageError: photos.tar#a.jpg is empty.
        """
        return type(self)(self.sentence.message.replace(str(path), str(name)), self.sentence.advice)


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
