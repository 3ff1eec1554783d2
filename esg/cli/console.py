"""The output of the commands: answers on stdout; messages, errors and, on a terminal, progress on stderr."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TextIO

from ..support.errors import PYTHON, Advice, EsgError, OutputError, Sentence

_OPTIONS = PYTHON | {  # advice for which the command line has options
    Advice.MAX_PIXELS: "raise it with --max-pixels if you trust the file",
    Advice.DOWNLOAD: "add --download to download it",
    Advice.WRITER: "give --caption or --phrases, or choose --model zero-shot, which has a language model",
    Advice.GROUND: "choose the entities by number, or with --text",
    Advice.MASKS: "if it holds masks, give it with --masks beside the photo",
    Advice.STORED_PIXELS: "add --mask-pixels stored if they fit its stored pixels",
    Advice.SMALLER_ON_TOP: "add --mask-order smaller to keep parts of larger masks",
    Advice.VOID: "add --void -1 if it is an entity",
    Advice.NOT_VOID: "give its number to --void if it is not an entity",
    Advice.NOT_ZERO: "add --void 0 if it is not an entity",
}
_SECONDS_BETWEEN = 0.1  # minimum time between two updates of the progress line


def counted(number: float, singular: str, plural: str | None = None) -> str:
    """A whole number of something: "1 photo", "5 photos"."""
    return f"{number:.0f} {singular if number == 1 else plural or f'{singular}s'}"


class Console(logging.Handler):
    """Keeps messages, ESG's log messages and the progress line from running into each other.

    As a context manager it handles ESG's log messages (INFO and above), and wipes the progress line at the end.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.stream: TextIO | None = sys.stderr  # None where it is closed
        self.live = self.stream is not None and self.stream.isatty()
        self._shown = 0  # characters of the progress line on the screen
        self._when = 0.0
        self._subject = ""
        self._logger = logging.getLogger(__package__.partition(".")[0])
        self._level = self._logger.level

    def progress(self, text: str) -> None:
        """Rewrites the progress line on a terminal; writes nothing elsewhere."""
        now = time.monotonic()
        if not self.live or (self._shown and now - self._when < _SECONDS_BETWEEN):
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        self._put(f"\r{text.ljust(self._shown)}\r{text}")
        self._shown, self._when = len(text), now

    def writing(self, before: str, text: str) -> None:
        """Shows a growing text after `before` as progress; if it is too long, only its end."""
        room = max(1, shutil.get_terminal_size().columns - 1 - len(before))
        text = " ".join(text.split())
        self.progress(before + (text if len(text) <= room else f"…{text[len(text) - room + 1 :]}"))

    def line(self, text: str) -> None:
        """Writes a permanent line; line breaks in `text`, from a file name or a library, become spaces."""
        self.wipe()
        self._put(" ".join(text.splitlines()) + "\n")

    def answer(self, text: str) -> None:
        """Writes the result of the command to stdout, where other programs may read it; OutputError if that fails."""
        self.wipe()
        print_to(sys.stdout, text + "\n")

    def complain(self, problem: EsgError | str) -> None:
        """Writes a line about a problem; the advice of an error names options of the command line."""
        text = problem if isinstance(problem, str) else problem.sentence.worded(_OPTIONS)
        self.line(f"esg: {text}")

    def wipe(self) -> None:
        """Removes the progress line from the terminal."""
        if self._shown:
            self._put("\r" + " " * self._shown + "\r")
            self._shown = 0

    @contextmanager
    def working_on(self, subject: str) -> Iterator[None]:
        """Prefixes log messages with `subject`, unless they contain it already."""
        self._subject = subject  # an empty one is contained in every message
        try:
            yield
        finally:
            self._subject = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a log message."""
        text = record.msg.worded(_OPTIONS) if isinstance(record.msg, Sentence) else record.getMessage()
        if self._subject not in text:
            text = f"{self._subject}: {text}"
        if record.levelno >= logging.WARNING:
            self.complain(text)
        else:
            self.line(text)

    def __enter__(self) -> Console:
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)

    def _put(self, text: str) -> None:
        with suppress(OutputError):  # there is nowhere else to report it
            print_to(self.stream, text)


def print_to(stream: TextIO | None, text: str) -> None:
    """Writes a text; characters that the stream cannot encode, as in some file names, become escape sequences.

    If the reader of a pipe is gone, as after `head`, this text and all further ones are dropped. Texts for a closed
    stream are dropped, too.

    Raises:
        OutputError: the text cannot be written, for example because the disk is full.
    """
    if stream is None or stream.closed:
        return
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        _drop_the_rest(stream)
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"The output cannot be written ({reason}); redirect it somewhere else.") from error


def _drop_the_rest(stream: TextIO) -> None:
    """Redirects the stream to nowhere, or Python would complain at exit about the rest of its buffer."""
    with suppress(OSError, ValueError):  # a stream without a file
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
