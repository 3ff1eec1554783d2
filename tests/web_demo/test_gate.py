"""Who is let in, how much they may bring, and what browsers are told, over the network of this machine."""

from __future__ import annotations

import asyncio
import http.client
import json
import stat
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from patience import PATIENCE

from esg import EntitySegmenter, InputError
from web_demo import gate
from web_demo.address import checked_root_path, is_loopback
from web_demo.gate import Callers, Gate, Passwords, Uploads, host_name

PARTS = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n', b"\r\n--x--\r\n"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def ask(address: str, path: str = "/config", method: str = "GET", body: Any = None, **headers: str) -> SimpleNamespace:
    """Status, headers and text of an answer; `_` in the names of headers stands for `-`."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given, encode_chunked=isinstance(body, Iterator))
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return SimpleNamespace(status=answer.status, headers=answer.headers, text=text)


def upload(address: str, size: int, **headers: str) -> SimpleNamespace:
    body = PARTS[0] + bytes(size) + PARTS[1]
    return ask(address, "/gradio_api/upload", "POST", body, **MULTIPART, **headers)


# ---------------------------------------------------------------------------------------------- names and origins


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("localhost:7860", "localhost"),
        ("[::1]:7860", "::1"),
        ("https://Some.Example./path", "some.example"),
        ("null", "null"),
        ("", ""),
        ("http://[", ""),
    ],
)
def test_names(address: str, name: str) -> None:
    assert host_name(address) == name


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/theme.css", "/gradio_api/app_id"])
def test_by_another_name_the_page_of_this_machine_does_not_answer(address: str, path: str) -> None:
    """As when a web site has its own name pointed at 127.0.0.1."""
    answer = ask(address, path, Host="evil.example:7860", Origin="http://evil.example:7860")
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    assert "--allowed-host" in answer.text
    assert "entities" not in answer.text
    assert ask(address, path, Host="evil.example").status == 403


def test_another_site_gets_nothing(address: str) -> None:
    for origin in ("http://evil.example", "https://localhost.evil.example", "null"):
        for answer in (ask(address, Origin=origin), upload(address, 10, Origin=origin)):
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers
        wish = {"Access_Control_Request_Method": "POST", "Origin": origin}
        answer = ask(address, "/gradio_api/upload", "OPTIONS", **wish)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
    assert ask(address, "/config", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert ask(address, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200  # a link


def test_its_own_names_are_let_in(address: str) -> None:
    port = urlsplit(address).port
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert ask(address, Host=f"{name}:{port}", Origin=f"http://localhost:{port}").status == 200
    assert upload(address, 10, Origin=address).status == 200


def test_names_that_the_owner_allows(launch: Callable[..., str]) -> None:
    address = launch(allowed_hosts=["photos.example"])
    assert ask(address, Host="photos.example", Origin="https://photos.example").status == 200
    assert ask(address, Host="other.example").status == 403
    assert ask(address).status == 200
    assert ask(launch(allowed_hosts=["*"]), Host="other.example").status == 200


def test_where_others_can_see_it_it_answers_to_every_name_but_not_to_other_sites(launch: Callable[..., str]) -> None:
    address = launch(host="0.0.0.0")
    assert ask(address, Host="my.box:80", Origin="http://my.box:80").status == 200
    assert ask(address, Host="my.box:80", Origin="http://evil.example").status == 403
    proxied = {"Host": "inner", "X_Forwarded_Host": "outer.example", "Origin": "https://outer.example"}
    assert ask(address, **proxied).status == 200
    strict = launch(host="0.0.0.0", allowed_hosts=["my.box"])
    assert [ask(strict, Host=host).status for host in ("my.box", "other.box", "localhost")] == [200, 403, 200]


def test_what_browsers_are_told(address: str, launch: Callable[..., str]) -> None:
    headers = ask(address, "/").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    path = json.loads(upload(address, 10).text)[0]
    assert "sandbox" in ask(address, f"/gradio_api/file={path}").headers["Content-Security-Policy"]
    framed = ask(launch(frames=["https://huggingface.co"]), "/").headers
    assert framed["Content-Security-Policy"].endswith("frame-ancestors 'self' https://huggingface.co")
    assert "X-Frame-Options" not in framed


# ---------------------------------------------------------------------------------------------- how much


def test_all_files_of_a_visitor_together_have_a_limit(launch: Callable[..., str]) -> None:
    address = launch(max_visitor_mb=1)
    assert upload(address, 600_000).status == 200
    answer = upload(address, 600_000)
    assert answer.status == 413
    assert "at most 1 MB of files" in answer.text
    # Whoever does not say how much is to come is told so when it has come.
    pieces = iter([PARTS[0], *[bytes(100_000)] * 6, PARTS[1]])
    headers = {**MULTIPART, "Transfer_Encoding": "chunked"}
    assert ask(address, "/gradio_api/upload", "POST", pieces, **headers).status == 413


def test_what_was_brought_an_hour_ago_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=lambda: now[0]))
    uploads = Uploads(100)
    uploads.add("a", 60)
    now[0] = 1800
    uploads.add("a", 30)
    assert (uploads.left("a"), uploads.left("b")) == (10, 100)
    now[0] = 3601
    assert uploads.left("a") == 70
    uploads.add("a", 90)
    assert uploads.left("a") == 0


def test_files_that_come_at_once_count_together(launch: Callable[..., str]) -> None:
    """Each of them would be small enough alone."""
    address = launch(max_visitor_mb=1)
    first = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    first.putrequest("POST", "/gradio_api/upload")
    for name, value in {**MULTIPART, "Content-Length": str(600_000 + sum(map(len, PARTS)))}.items():
        first.putheader(name, value)
    first.endheaders(PARTS[0] + bytes(300_000))
    assert upload(address, 600_000).status == 200
    first.send(bytes(300_000) + PARTS[1])
    assert first.getresponse().status == 413
    first.close()


def test_a_request_without_files_is_not_long(address: str) -> None:
    body = json.dumps({"data": ["x" * 9_000_000]}).encode()
    assert ask(address, "/gradio_api/call/segment", "POST", body, Content_Type="application/json").status == 413


def test_files_are_for_nobody_else_on_this_machine(address: str, files: Any, cache: Path, tmp_path: Path) -> None:
    client_library = pytest.importorskip("gradio_client", reason="the page needs gradio")
    client = client_library.Client(address, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    before = {path for path in cache.rglob("*") if path.is_file()}
    client.predict(client_library.handle_file(files.photo), min_score=0, crops=0, api_name="/segment")
    client.close()
    made = {path for path in cache.rglob("*") if path.is_file()} - before
    assert {"photo.png", "photo.labels.png"} <= {path.name for path in made}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


# ---------------------------------------------------------------------------------------------- passwords


def test_after_a_wrong_password_the_next_one_has_to_wait(
    launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=lambda: 0.0))
    address = launch(auth=("anna", "secret"))
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert ask(address, "/login", "POST", "username=anna&password=guess", **form).status == 400
    answer = ask(address, "/login", "POST", "username=anna&password=secret", **form)
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_waits_grow_and_end_with_the_right_password(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=lambda: now[0]))
    passwords = Passwords()

    async def wait(visitor: str = "a") -> float:
        async with passwords.turn(visitor) as seconds:
            return seconds

    waits = []
    for _ in range(8):
        passwords.judge("a", right=False)
        waits.append(asyncio.run(wait()))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert asyncio.run(wait("b")) == 0
    now[0] = 61
    assert asyncio.run(wait()) == 0
    passwords.judge("a", right=True)
    passwords.judge("a", right=False)
    assert asyncio.run(wait()) == 1


# ---------------------------------------------------------------------------------------------- who hung up


def test_callers_who_hang_up_are_counted() -> None:
    callers = Callers()
    callers.leave("a")
    callers.leave("a")
    assert (callers.left("a"), callers.left("b")) == (2, 0)


def test_work_for_a_caller_who_hung_up_stops(address: str, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def slowly(segmenter: Any, *given: Any, progress: Any, **options: Any) -> Any:
        try:
            began.set()
            while not go.wait(0.01):
                progress(1, 5, "views")
        finally:
            ended.set()
        raise InputError("It was not stopped.")

    with open(files.photo, "rb") as photo:
        body = PARTS[0] + photo.read() + PARTS[1]
    path = json.loads(ask(address, "/gradio_api/upload", "POST", body, **MULTIPART).text)[0]
    monkeypatch.setattr(EntitySegmenter, "__call__", slowly)
    wish = json.dumps({"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, None, 0, 0]})
    answer = ask(address, "/gradio_api/call/segment", "POST", wish, Content_Type="application/json")
    event = json.loads(answer.text)["event_id"]
    listening = urllib.request.urlopen(f"{address}/gradio_api/call/segment/{event}")
    try:
        assert began.wait(60)
        listening.close()
        assert ended.wait(60)
    finally:
        go.set()  # so that nothing waits for it where the test failed


# ---------------------------------------------------------------------------------------------- behind a proxy


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", ""),
        ("/esg", "/esg"),
        ("esg/", "/esg"),
        ("/a/b/", "/a/b"),
        ("https://a.example/esg/", "https://a.example/esg"),
    ],
)
def test_paths_of_proxies(given: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_ROOT_PATH", raising=False)
    assert checked_root_path(given) == path


def test_the_path_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/there")
    assert checked_root_path("") == "/there"
    assert checked_root_path("/here") == "/here"


@pytest.mark.parametrize("path", ["/a b", "/esg?x=1", "/esg#top", '/"'])
def test_what_is_no_path_is_one_sentence(path: str) -> None:
    with pytest.raises(InputError, match=r"--root-path /esg\.$"):
        checked_root_path(path)


def test_what_only_this_machine_can_reach() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.0.2", "::", "example.org")))


class Proxy(ThreadingHTTPServer):
    """Serves `/esg/…` as nginx does with `location /esg/ { proxy_pass http://127.0.0.1:PORT/; }`."""

    request_queue_size = 64  # a browser opens several connections at once

    def __init__(self, port: int) -> None:
        self.behind, self.outside = port, []
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class ProxyHandler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        if self.path == "/favicon.ico":  # which browsers ask of every site, whatever the page says
            self.send_response(204)
            self.end_headers()
            return
        if not self.path.startswith("/esg/"):
            self.server.outside.append(self.path)  # type: ignore[attr-defined]
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        port = self.server.behind  # type: ignore[attr-defined]
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
        behind = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        behind.request(self.command, self.path[len("/esg") :], body, {**headers, "Host": self.headers["Host"]})
        answer = behind.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.end_headers()
        while piece := answer.read1(65536):
            self.wfile.write(piece)
            self.wfile.flush()

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *_: Any) -> None:
        pass


def test_the_page_works_under_a_path_behind_a_proxy(
    launch: Callable[..., str], visit_at: Callable[[str], Any], files: Any
) -> None:
    address = launch(root_path="/esg")
    proxy = Proxy(urlsplit(address).port or 0)
    try:
        visitor = visit_at(f"http://127.0.0.1:{proxy.server_port}/esg/")
        visitor.bring(files)
        visitor.select(1)
        assert visitor.download("cutout").stat().st_size > 0
        assert proxy.outside == []
        visitor.tab.close()  # before its requests find no proxy any more
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.parametrize("left", [True, False])
def test_an_upload_that_is_stopped_half_way_is_not_an_error_of_the_server(left: bool) -> None:
    class App:
        async def middleware_stack(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise RuntimeError("the rest of the request is missing")

    async def upload() -> None:
        gate, app = Gate(None, (), 1000), App()
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": [], "client": None}

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"} if left else {"type": "http.request", "body": b"1", "more_body": False}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        async with gate.around(app):
            await gate(scope, receive, send)

    with ThreadPoolExecutor() as other:  # playwright keeps a loop running in this thread
        problem = other.submit(asyncio.run, upload()).exception()
    assert (None if problem is None else str(problem)) == (None if left else "the rest of the request is missing")
