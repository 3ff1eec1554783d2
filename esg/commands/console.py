"""What the commands say: answers on stdout; on stderr lines, complaints, and on a terminal the progress."""

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

from ..errors import OutputError

_SECONDS_BETWEEN = 0.1  # of two states of the progress line


class Console(logging.Handler):
    """Writes so that lines, log messages of ESG and the progress line do not run into each other.

    As a context manager it takes over ESG's log messages (from INFO on) and in the end wipes the progress line.
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
        """Rewrites the progress line on a terminal; elsewhere nothing is written."""
        now = time.monotonic()
        if not self.live or (self._shown and now - self._when < _SECONDS_BETWEEN):
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        self._put(f"\r{text.ljust(self._shown)}\r{text}")
        self._shown, self._when = len(text), now

    def writing(self, before: str, text: str) -> None:
        """Progress that is a text as it grows, whose end is shown where it is too long, after `before`."""
        room = max(1, shutil.get_terminal_size().columns - 1 - len(before))
        text = " ".join(text.split())
        self.progress(before + (text if len(text) <= room else f"…{text[len(text) - room + 1 :]}"))

    def line(self, text: str) -> None:
        """A line that stays; a line break in `text`, from a file's name or a library, becomes a space."""
        self.wipe()
        self._put(" ".join(text.splitlines()) + "\n")

    def answer(self, text: str) -> None:
        """Lines on stdout: what the command was asked for, and other programs may read; OutputError if that fails."""
        self.wipe()
        print_to(sys.stdout, text + "\n")

    def complain(self, text: str) -> None:
        """A line about something that went wrong."""
        self.line(f"esg: {text}")

    def wipe(self) -> None:
        """Takes the progress line off the terminal."""
        if self._shown:
            self._put("\r" + " " * self._shown + "\r")
            self._shown = 0

    @contextmanager
    def working_on(self, subject: str) -> Iterator[None]:
        """Puts the name of what is worked on before the log messages that are without it; an empty one is in all."""
        self._subject = subject
        try:
            yield
        finally:
            self._subject = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a log message."""
        text = record.getMessage()
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
        with suppress(OutputError):  # there is no other place to say so
            print_to(self.stream, text)


def print_to(stream: TextIO | None, text: str) -> None:
    """Writes, what the stream's encoding has no sign for, as in some names of files, by its number.

    When the reader of a pipe has gone, as `head` does, this and all that follows is dropped; so is what goes to a
    stream that is closed.

    Raises:
        OutputError: it cannot be written, as on a full disk.
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
            raise OutputError(f"The output cannot be written ({reason}); send it somewhere else.") from error


def _drop_the_rest(stream: TextIO) -> None:
    """Else Python complains at exit about what is still in the buffer."""
    with suppress(OSError, ValueError):  # a stream without a file
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
