"""Addresses that no page can be served at."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import pytest

from esg import InputError
from web_demo.address import check_address

FREE = "give 127.0.0.1 for this machine alone, or 0.0.0.0 for everyone who can reach it"


def refused(host: str, port: int) -> str:
    with pytest.raises(InputError) as caught:
        check_address(host, port)
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_what_is_free_stays_free(host: str, free_port: Callable[[], int]) -> None:
    port = free_port()
    for _ in range(2):
        check_address(host, port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


def test_a_taken_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            assert refused(host, port) == f"Port {port} of {host} is in use; choose another one with --port."
    check_address("127.0.0.1", port)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere ports are free at once")
def test_a_port_whose_last_connection_dies_away_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        with socket.create_connection(address):
            server.accept()[0].close()  # who closes first keeps the port in TIME_WAIT
    check_address(*address)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_number_that_is_no_port(port: int) -> None:
    assert refused("127.0.0.1", port) == f"{port} is not a valid port; choose one from 1 to 65535 with --port."


def test_an_address_of_another_machine() -> None:
    # 192.0.2.0/24 is for documentation: no machine has it
    assert refused("192.0.2.1", 7860) == f"192.0.2.1 is not an address of this machine; {FREE}."


@pytest.mark.parametrize("host", ["bad..host", "x" * 70])
def test_what_could_be_no_address(host: str) -> None:
    assert refused(host, 7860) == f"The address {host!r} does not exist; {FREE}."


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    assert refused("elsewhere", 7860) == f"The address 'elsewhere' does not exist; {FREE}."


def test_a_port_that_may_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "an operating system's own words")

    monkeypatch.setattr(socket, "socket", lambda *_: refuse())
    assert refused("127.0.0.1", 80) == (
        f"Port 80 of 127.0.0.1 cannot be used ({os.strerror(errno.EACCES).lower()}); choose another one with --port."
    )


def test_one_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> None:
    """As of localhost on a machine that is told of IPv6, and has none."""
    port = free_port()
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    places = [(*kind, ("192.0.2.1", port)), (*kind, ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    check_address("localhost", port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert refused("localhost", port) == f"Port {port} of localhost is in use; choose another one with --port."
