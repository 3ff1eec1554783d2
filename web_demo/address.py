"""Checks that a page can be served at an address, before anything is prepared for it."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from esg import InputError

HIGHEST_PORT = 65535
_HOSTS = "give 127.0.0.1 for this machine alone, or 0.0.0.0 for everyone who can reach it"


def check_address(host: str, port: int) -> None:
    """Binds the address for a moment, as the server will; Gradio alone would report every failure as a port in use.

    Args:
        host: a name or address of this machine.
        port: the port; 0 is any free one.

    Raises:
        InputError: the port is in use, invalid or not allowed, or the host is not an address of this machine.
    """
    if not 0 <= port <= HIGHEST_PORT:
        raise InputError(f"{port} is not a valid port; choose one from 1 to {HIGHEST_PORT} with --port.")
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # UnicodeError: not a possible name
        raise InputError(f"The address {host!r} does not exist; {_HOSTS}.") from None
    failures = [failure for place in places if (failure := _failure(place)) is not None]
    if errno.EADDRINUSE in failures:
        raise InputError(f"Port {port} of {host} is in use; choose another one with --port.")
    if len(failures) == len(places):  # one address is enough; a name such as localhost may have several
        if failures[0] == errno.EADDRNOTAVAIL:
            raise InputError(f"{host} is not an address of this machine; {_HOSTS}.")
        reason = os.strerror(failures[0]).lower()
        raise InputError(f"Port {port} of {host} cannot be used ({reason}); choose another one with --port.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_root_path(path: str) -> str:
    """The path under which a proxy serves the page, as Gradio expects it: "/esg", a whole address, or "" for none.

    If it is empty, the environment variable `GRADIO_ROOT_PATH` is used.

    Raises:
        InputError: it is not a valid path.
    """
    path = (path or os.environ.get("GRADIO_ROOT_PATH", "")).strip().rstrip("/")
    if not path:
        return ""
    if any(letter.isspace() or letter in "?#\\\"'<>" for letter in path):
        raise InputError(f"{path!r} is not a valid path; give one such as --root-path /esg.")
    return path if path.startswith(("http://", "https://")) else "/" + path.lstrip("/")


def _failure(place: tuple) -> int | None:
    """The number of the error that binding one of `getaddrinfo`'s results raises, or None."""
    family, kind, protocol, _, address = place
    try:
        with socket.socket(family, kind, protocol) as attempt:
            if os.name == "posix":  # on POSIX: even if connections of an earlier page are still closing
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(address)
    except OSError as error:
        return error.errno or 0
    return None
