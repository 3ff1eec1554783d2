"""The gate of the page: it decides which requests are answered and how much visitors may upload, and adds headers.

Even a page that listens on this machine only can be reached by any web site that its user visits: the site can point
its own name at 127.0.0.1 (DNS rebinding), or send a form. Browsers say in `Host` and `Origin` where a request was meant
to go and where it came from, so both are checked before anything else. Gradio checks neither.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine can reach
HOUR = 3600  # seconds
WORDS = 8 * 1024 * 1024  # bytes: the limit of a request without a file
LONGEST_WAIT = 60  # seconds: the longest wait after a wrong password
_REMEMBERED = 10_000  # callers

# The content that the page itself needs: Gradio writes scripts and styles into it, and compiles the code of `gr.HTML`.
_CONTENT = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_FILE_CONTENT = "default-src 'none'; sandbox"  # a visitor's file is shown and never executed


def host_name(address: str) -> str:
    """The name in a `Host` or `Origin`, without port and scheme, in lower case; empty if there is none."""
    try:
        name = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""
    return name.rstrip(".")


class Callers:
    """Remembers which callers have stopped waiting for answers, so that nothing more is computed for them."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, int] = OrderedDict()

    def leave(self, session: str) -> None:
        """Notes that a caller disconnected before everything was answered."""
        self._left[session] = self.left(session) + 1
        self._left.move_to_end(session)
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)

    def left(self, session: str) -> int:
        """The number of times that this has happened; work that begins later is for a caller who has come back."""
        return self._left.get(session, 0)


class Uploads:
    """Counts the bytes that each visitor uploaded within the last hour, after which files are deleted.

    Args:
        most: the limit for one visitor, in bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._brought: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()  # the latest visitor last
        self._totals: defaultdict[str, int] = defaultdict(int)

    def left(self, visitor: str) -> int:
        """The number of bytes that a visitor may still upload."""
        seen = self._brought.get(visitor, deque())
        while seen and seen[0][0] < time.monotonic() - HOUR:
            self._totals[visitor] -= seen.popleft()[1]
        return max(0, self.most - self._totals.get(visitor, 0))

    def add(self, visitor: str, size: int) -> None:
        """Counts bytes that have arrived."""
        self._brought.setdefault(visitor, deque()).append((time.monotonic(), size))
        self._brought.move_to_end(visitor)
        self._totals[visitor] += size
        while len(self._brought) > _REMEMBERED:
            visitor, _ = self._brought.popitem(last=False)
            del self._totals[visitor]


class _Length:
    """The number of bytes that one request may still have, whoever sends it."""

    def __init__(self, most: int) -> None:
        self._left = most

    def left(self) -> int:
        return self._left

    def add(self, size: int) -> None:
        self._left -= size


@dataclass(frozen=True)
class _VisitorsLength:
    """The number of bytes that a request may still have; all requests of a visitor count, even simultaneous ones."""

    uploads: Uploads
    visitor: str

    def left(self) -> int:
        return self.uploads.left(self.visitor)

    def add(self, size: int) -> None:
        self.uploads.add(self.visitor, size)


class Passwords:
    """Makes a visitor wait after each wrong password: 1 s, 2 s, 4 s and so on, up to a minute."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many in a row, and the end of the wait
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def turn(self, visitor: str) -> Any:
        """Lets a visitor try one password at a time; gives the seconds to wait, or 0 if it may be tried now."""
        turn = self._turns[visitor]
        async with turn:
            yield max(0.0, self._wrong.get(visitor, (0, 0.0))[1] - time.monotonic())
        if not turn.locked():
            self._turns.pop(visitor, None)

    def judge(self, visitor: str, right: bool) -> None:
        """Remembers whether the password was right."""
        times, _ = self._wrong.pop(visitor, (0, 0.0))
        if not right:
            self._wrong[visitor] = times + 1, time.monotonic() + min(2**times, LONGEST_WAIT)
        while len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)


class Gate:
    """An ASGI application around the page's own.

    Args:
        hosts: host names that the page answers to; None: any, if other machines can reach it.
        frames: addresses of other pages that may show this one in a frame.
        most: how many bytes one visitor may upload within an hour.
    """

    def __init__(self, hosts: Iterable[str] | None, frames: Iterable[str], most: int) -> None:
        self.hosts = None if hosts is None else {host_name(host) or host.lower() for host in hosts}
        self.frames = tuple(frames)
        self.callers = Callers()
        self._uploads, self._passwords = Uploads(most), Passwords()
        self._app: App | None = None

    @asynccontextmanager
    async def around(self, app: Any) -> Any:
        """For the `lifespan` of an app: wraps the gate around the whole app, in whatever order its parts were added."""
        self._app, app.middleware_stack = app.middleware_stack, self
        yield

    def allow(self, host: str) -> None:
        """Adds a host name that the page answers to."""
        if self.hosts is not None:
            self.hosts.add(host_name(host))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if problem := self._foreign(headers):
            await _refuse(scope, send, 403, problem)
            return
        if scope["type"] == "http":
            await self._answer(self._app, scope, headers, receive, self._with_headers(scope, send))
        else:
            await self._app(scope, receive, send)

    def _foreign(self, headers: dict[str, str]) -> str:
        """Why a request is refused because of its host or origin; empty if it is not."""
        host, origin = host_name(headers.get("host", "")), headers.get("origin")
        if self.hosts is not None and host not in self.hosts:
            return (
                f"This page does not answer to the name {host[:100]!r}. If the page is yours, start it with "
                f"--allowed-host and that name."
            )
        # A proxy passes on the name that the browser used; a foreign site cannot set this header without asking (CORS).
        known = {host, host_name(headers.get("x-forwarded-host", "").split(",")[0]), *(self.hosts or ())} - {""}
        if origin is not None and host_name(origin) not in known:
            return (
                f"Requests from {origin[:100]!r} are not answered. If that is the page's own address, start the page "
                "with --allowed-host and the name in it."
            )
        # Following a link to the page is allowed, but other sites may not use it.
        elsewhere = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        return "Requests from other sites are not answered." if elsewhere and origin is None else ""

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        ancestors = " ".join(["'self'", *self.frames])
        content = _FILE_CONTENT if "/file=" in scope["path"] else _CONTENT
        told = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "content-security-policy": f"{content}; frame-ancestors {ancestors}",
            "permissions-policy": "camera=(self), microphone=(), geolocation=()",
        }
        if not self.frames:
            told["x-frame-options"] = "SAMEORIGIN"

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (name, value) for name, value in message.get("headers", ()) if name.decode().lower() not in told
                ]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in told.items()]
            await send(message)

        return tell

    async def _answer(self, app: App, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        path, visitor = scope["path"].rstrip("/"), _visitor(scope, headers)
        if scope["method"] == "POST" and path.endswith("/login"):
            await self._log_in(app, scope, visitor, receive, send)
        elif scope["method"] == "POST" and path.endswith("/upload"):
            await self._upload(app, scope, headers, visitor, receive, send)
        elif scope["method"] == "POST":
            sentence = f"A request without files may have at most {WORDS // 1024**2} MB."
            await _limited(app, scope, headers, receive, send, _Length(WORDS), sentence)
        elif session := _listening(scope):
            await self._listen(app, scope, session, receive, send)
        else:
            await app(scope, receive, send)

    async def _log_in(self, app: App, scope: Scope, visitor: str, receive: Receive, send: Send) -> None:
        async def judge(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._passwords.judge(visitor, right=message["status"] < 400)
            await send(message)

        async with self._passwords.turn(visitor) as seconds:
            if seconds:
                whole = int(seconds) + 1
                wait = "1 second" if whole == 1 else f"{whole} seconds"
                sentence = f"The last password was wrong; wait {wait} before you try another one."
                await _refuse(scope, send, 429, sentence, [(b"retry-after", str(whole).encode())])
            else:
                await _limited(app, scope, {}, receive, judge, _Length(WORDS), "This is too long for a password.")

    async def _upload(
        self, app: App, scope: Scope, headers: dict[str, str], visitor: str, receive: Receive, send: Send
    ) -> None:
        most = self._uploads.most // 1024**2
        sentence = f"A visitor can upload at most {most} MB of files within an hour; try again later."
        await _limited(app, scope, headers, receive, send, _VisitorsLength(self._uploads, visitor), sentence)

    async def _listen(self, app: App, scope: Scope, session: str, receive: Receive, send: Send) -> None:
        answered = False

        async def watch() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not answered:
                self.callers.leave(session)
            return message

        async def pass_on(message: Message) -> None:
            nonlocal answered
            body = message.get("body", b"")
            answered |= message["type"] == "http.response.body" and (
                not message.get("more_body") or any(end in body for end in _ENDS)
            )
            await send(message)

        await app(scope, watch, pass_on)


_ENDS = (b'"close_stream"', b"event: complete", b"event: error")  # the messages with which Gradio's answers end
_CALL = re.compile(r"/call/(?:v2/)?[^/]+/([^/]+)$")


def _listening(scope: Scope) -> str:
    """The session, as Gradio names it, whose answers a request waits for; empty for other requests."""
    path = scope["path"].rstrip("/")
    if path.endswith("/queue/data"):
        return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [""])[0]
    found = _CALL.search(path)
    return found[1] if found else ""


def _visitor(scope: Scope, headers: dict[str, str]) -> str:
    """Identifies a visitor by the IP address, or for IPv6 by the network, which belongs to one household."""
    address = (scope.get("client") or ("",))[0]
    if address in LOOPBACK and (told := headers.get("x-forwarded-for")):  # the last one is the one that the proxy saw
        address = told.split(",")[-1].strip()
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


async def _limited(
    app: App,
    scope: Scope,
    headers: dict[str, str],
    receive: Receive,
    send: Send,
    length: _Length | _VisitorsLength,
    sentence: str,
) -> None:
    """Answers a request of limited length; a longer one is refused with `sentence` as soon as its length is known."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > length.left():
        await _refuse(scope, send, 413, sentence)
        return
    refused = left = False

    async def take() -> Message:
        nonlocal refused, left
        message = await receive()
        left = message["type"] == "http.disconnect"
        size = len(message.get("body", b""))
        if size > length.left() and not refused:
            refused = True
            await _refuse(scope, send, 413, sentence)
        length.add(size)
        return {"type": "http.disconnect"} if refused else message

    async def pass_on(message: Message) -> None:
        if not refused:
            await send(message)

    try:
        await app(scope, take, pass_on)
    except Exception:
        if not refused and not left:  # otherwise the error only says that the rest of the request is missing
            raise


async def _refuse(
    scope: Scope, send: Send, status: int, sentence: str, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:120]})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
