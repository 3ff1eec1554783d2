"""How the page is served."""

from __future__ import annotations

import io
import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import web_demo
from esg import EsgError, InputError, WeightsError
from esg.cli.main import main
from web_demo import page as page_module
from web_demo import serving


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, which programs started in the background may otherwise not hear."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_one_line_says_where_the_page_is_and_ctrl_c_ends_it(
    small_model: Path,
    tiny_gella: Path,
    free_port: Callable[[], int],
    ctrl_c: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    reached = []

    def visit_and_press_ctrl_c(_seconds: float) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            reached.append(answer.status)
        ctrl_c()

    monkeypatch.setattr(serving, "time", SimpleNamespace(sleep=visit_and_press_ctrl_c))
    options = ["--port", str(port), "--model", str(small_model), "--grounder", str(tiny_gella), "--device", "cpu"]
    assert main(["demo", *options, "--no-browser"]) == 0
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == f"The page is at http://127.0.0.1:{port}/; press Ctrl-C to stop it.\n"
    assert reached == [200]
    with socket.socket() as free:  # it is no longer served
        assert free.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_one_sentence(launch: Callable[..., str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"^Port \d+ of 127\.0\.0\.1 is in use; choose another one with --port\.$"):
            launch(port=other.getsockname()[1])


def test_a_port_that_gradio_refuses_is_one_sentence(
    launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another program takes it after it was found free."""
    monkeypatch.setattr("web_demo.check_address", lambda host, port: None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"^Port \d+ of 127\.0\.0\.1 cannot be used; choose another"):
            launch(port=other.getsockname()[1])


def test_a_busy_machine_may_take_its_time(launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio looks whether the page answers, for three seconds."""
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with urllib.request.urlopen(launch()) as answer:
        assert answer.status == 200


def test_an_address_where_it_cannot_listen_is_one_sentence_at_once(
    launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "build", lambda **_: pytest.fail("the page was made"))
    with pytest.raises(InputError, match=r"^99999 is not a valid port; "):
        launch(port=99999)
    with pytest.raises(InputError, match=r"^192\.0\.2\.1 is not an address of this machine; "):
        launch(host="192.0.2.1")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_address_of_ipv6(launch: Callable[..., str], free_port: Callable[[], int], host: str) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    port = free_port()
    launch(host=host, port=port)
    with urllib.request.urlopen(f"http://[::1]:{port}/config") as answer:
        props = [component["props"] for component in json.load(answer)["components"]]
    assert [part["visible"] for part in props if part.get("elem_id") == "free"] == [True]  # for this machine alone


def test_a_device_that_is_not_here_is_one_sentence_at_once(
    launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "build", lambda **_: pytest.fail("the page was made"))
    with pytest.raises(InputError, match=r"^The device 'banana' cannot be used here "):
        launch(device="banana")


@pytest.mark.parametrize("inpainter", ["./nothing", "nothing.safetensors"])
def test_an_inpainter_that_is_no_file_and_no_name_is_one_sentence_at_once(
    launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch, inpainter: str
) -> None:
    monkeypatch.setattr(page_module, "build", lambda **_: pytest.fail("the page was made"))
    with pytest.raises(
        WeightsError, match=f"^The folder or file {inpainter} does not exist, and it is not a valid name"
    ):
        launch(inpainter=inpainter)


def test_an_inpainter_that_the_visitor_may_download_need_not_be_here(launch: Callable[..., str]) -> None:
    with urllib.request.urlopen(f"{launch(inpainter='nobody/has-this')}/config") as answer:
        assert "nobody/has-this" in str(json.load(answer))


@pytest.mark.parametrize("kind", ["model", "grounder"])
def test_weights_that_are_not_here_are_one_sentence_at_once(launch: Callable[..., str], kind: str) -> None:
    with pytest.raises(WeightsError, match=r"^[^\n]*nobody/has-this[^\n]*$"):
        launch(**{kind: "nobody/has-this"})


def test_without_gradio_it_says_what_to_install(launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "web_demo.page")
    monkeypatch.delattr(web_demo, "page")
    with pytest.raises(EsgError, match=r"pip install 'esg\[demo\]'$"):
        launch()


def test_by_itself_it_listens_on_this_machine_alone(launch: Callable[..., str], free_port: Callable[[], int]) -> None:
    """127.0.0.2 is this machine, too, but only what listens everywhere can be reached there."""

    def reached(**options: object) -> bool:
        port = free_port()
        launch(port=port, **options)
        with socket.socket() as other:
            return other.connect_ex(("127.0.0.2", port)) == 0

    if not reached(host="0.0.0.0"):
        pytest.skip("this system has no address 127.0.0.2")
    assert not reached()


def test_nothing_is_told_to_others(launch: Callable[..., str]) -> None:
    with urllib.request.urlopen(f"{launch()}/config") as answer:
        assert json.load(answer)["analytics_enabled"] is False


def test_a_password_keeps_others_out(launch: Callable[..., str]) -> None:
    address = launch(auth=("anna", "secret"))
    for path in ("/config", "/gradio_api/info", "/gradio_api/call/segment/1", "/gradio_api/file=/etc/hostname"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + path)
        assert caught.value.code == 401

    def log_in(password: str) -> int:
        body = f"username=anna&password={password}".encode()
        try:
            with urllib.request.urlopen(f"{address}/login", data=body) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert log_in("secret") == 200
    assert log_in("guess") in (400, 401)


def upload(address: str, size: int) -> int:
    """The status of the answer to a file of so many bytes."""
    body = io.BytesIO()
    body.write(b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n')
    body.write(bytes(size))
    body.write(b"\r\n--x--\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    wish = urllib.request.Request(f"{address}/gradio_api/upload", data=body.getvalue(), headers=headers)
    try:
        with urllib.request.urlopen(wish) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_files_of_more_than_the_size_are_refused(launch: Callable[..., str]) -> None:
    address = launch(max_size_mb=1)
    assert upload(address, 1024 * 1024) == 200
    assert upload(address, 1024 * 1024 + 1) == 413
