"""The page from code: endpoints with names, through gradio_client on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import web_demo
from esg import (
    EntityMap,
    EntitySegmenter,
    Grounder,
    Grounding,
    InputError,
    MaskSettings,
    cut_for_inpainting,
    read_image,
    read_photo,
)
from esg.models.gella.inference import GellaInference

client_library = pytest.importorskip("gradio_client", reason="the page needs gradio")
handle_file = client_library.handle_file

TEXT = "A red disc is left of the dog."


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("downloads")
    client = client_library.Client(address, verbose=False, download_files=str(folder), analytics_enabled=False)
    yield client
    client.close()


@pytest.fixture
def ask(client: Any, files: Any) -> Callable[..., Any]:
    """Calls an endpoint with the photo of the quarters."""

    def ask(name: str, **inputs: Any) -> Any:
        return client.predict(**{"image": handle_file(files.photo), **inputs}, api_name=name)

    return ask


@pytest.fixture
def refused(ask: Callable[..., Any]) -> Callable[..., str]:
    """Calls an endpoint that has to answer with one sentence, and gives that."""

    def refused(name: str, **inputs: Any) -> str:
        with pytest.raises(client_library.exceptions.AppError, match=r"^[^\n]+\.$") as caught:
            ask(name, **inputs)
        assert "gradio" not in str(caught.value)  # nor does it tell where files lie
        return str(caught.value)

    return refused


def test_only_the_endpoints_of_the_page_have_names(client: Any) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert sorted(api["named_endpoints"]) == ["/ask", "/describe", "/edit", "/find_nouns", "/ground", "/segment"]
    assert api["unnamed_endpoints"] == {}
    parameters = {
        name: [one["parameter_name"] for one in endpoint["parameters"]]
        for name, endpoint in api["named_endpoints"].items()
    }
    assert all(names[0] == "image" for names in parameters.values())
    edit = api["named_endpoints"]["/edit"]["parameters"]
    assert {"entities"} <= {one["parameter_name"] for one in edit if not one["parameter_has_default"]}


def test_segment(ask: Callable[..., Any], files: Any, small_model: Path) -> None:
    segmenter = EntitySegmenter.from_pretrained(small_model, device="cpu")
    labels, coco = ask("/segment", min_score=0)
    expected = segmenter(files.photo, min_score=0)  # the model's own number of crops
    assert EntityMap.from_labels_png(labels) == expected == EntityMap.from_coco(coco)
    assert Path(labels).name == "photo.labels.png"
    labels, _ = ask("/segment", min_score=0, crops=4)
    assert EntityMap.from_labels_png(labels) == segmenter(files.photo, crops=4, min_score=0) != expected


def test_describe_streams(client: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GellaInference, "describe", lambda *_: iter(["a", " red", " disc"]))
    monkeypatch.setattr(GellaInference, "drafts", 3)
    monkeypatch.setattr(Grounder, "best_caption", lambda *_, **__: "a dog on the left")
    job = client.submit(handle_file(files.photo), api_name="/describe")
    assert job.result(60) == "a dog on the left"  # the best of several, as on the page
    assert job.outputs() == ["a", "a red", "a red disc", "a dog on the left"]


def test_ask_streams(client: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GellaInference, "ask", lambda model, sight, question, *_: iter([question, " Red."]))
    job = client.submit(handle_file(files.photo), "Which colour?", api_name="/ask")
    assert job.result(60) == "Which colour? Red."
    assert job.outputs() == ["Which colour?", "Which colour? Red."]


def test_a_question_to_a_model_that_cannot_answer_is_refused(refused: Callable[..., str]) -> None:
    assert "gella-nano cannot answer questions; choose one" in refused("/ask", question="Why?", model="gella-nano")
    assert "question is empty." in refused("/ask", question=" ")


def test_find_nouns(ask: Callable[..., Any]) -> None:
    nouns = ask("/find_nouns", caption=TEXT)
    assert [noun["text"] for noun in nouns] == ["red disc", "dog"]
    assert all(TEXT[slice(*noun["span"])] == noun["text"] for noun in nouns)


def test_ground(ask: Callable[..., Any], files: Any, tiny_gella: Path, quarters: EntityMap) -> None:
    grounder = Grounder.from_pretrained(tiny_gella, device="cpu")
    masks = handle_file(files.masks)
    found = ask("/ground", masks=masks, text=TEXT, threshold=0.2)
    assert Grounding.from_json(found) == grounder(files.photo, quarters, TEXT, threshold=0.2)
    found = ask("/ground", masks=masks, text="tower, dog", read_as="a list of phrases")
    assert Grounding.from_json(found) == grounder(files.photo, quarters, phrases=["tower", "dog"])
    without = Grounding.from_json(ask("/ground", text=TEXT))  # the random segmenter finds none that it is sure of
    assert [phrase.text for phrase in without.phrases] == ["red disc", "dog"]


def test_edit_removes(ask: Callable[..., Any], files: Any, pixels: np.ndarray, quarters: EntityMap) -> None:
    path = ask("/edit", masks=handle_file(files.masks), entities="1")
    assert Path(path).name == "photo.edited.png"
    changed = (read_image(path) != pixels).any(axis=2)
    settings = MaskSettings().crop(None)
    blend = cut_for_inpainting(pixels, quarters.mask(1), settings).stitch.full_mask
    assert changed[quarters.mask(1)].mean() > 0.9
    assert not changed[blend == 0].any()


def test_what_is_edited_keeps_what_its_file_says(client: Any, files: Any, tmp_path: Path) -> None:
    profile = bytes(16) + b"RGB " + bytes(108)
    with Image.open(files.photo) as picture:
        picture.putalpha(200)
        picture.save(tmp_path / "photo.png", icc_profile=profile, dpi=(240, 240))
    given = {"image": handle_file(tmp_path / "photo.png"), "masks": handle_file(files.masks)}
    edited = read_photo(client.predict(**given, entities="1", api_name="/edit"))
    assert edited.profile == profile
    assert edited.metadata.dpi == pytest.approx((240, 240), abs=0.1)
    assert edited.rgba is not None
    assert (edited.rgba[..., 3] == 200).all()


def test_edit_repaints(
    ask: Callable[..., Any], files: Any, pixels: np.ndarray, quarters: EntityMap, tiny_diffusion: Callable[[int], Path]
) -> None:
    given = {"masks": handle_file(files.masks), "entities": "largest", "grow": 0, "feather": 0, "steps": 2}
    path = ask("/edit", **given, prompt="a red hat", model=str(tiny_diffusion(9)))
    changed = (read_image(path) != pixels).any(axis=2)
    assert changed[quarters.mask(1)].mean() > 0.9
    assert not changed[~quarters.mask(1)].any()


def call(address: str, path: str) -> str:
    """The answer of /segment to a file by its path on the server, as plain HTTP: the client would upload it."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [file, None, 0, 0]}).encode()
    url = f"{address}/gradio_api/call/segment"
    wish = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(wish) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}") as answer:
        return answer.read().decode()


def test_files_that_nobody_uploaded_are_refused(address: str, client: Any, files: Any) -> None:
    uploaded = client.predict(handle_file(files.photo), min_score=0, crops=0, api_name="/segment")[0]
    assert Path(uploaded).is_file()
    for path in (files.photo, files.photo.parent / "../" / files.photo.parent.name / "photo.png", "/etc/passwd"):
        answer = call(address, str(path))
        assert answer.startswith("event: error")
        assert "root:" not in answer


def test_files_of_the_server_are_not_served(address: str) -> None:
    for path in ("/etc/passwd", Path(web_demo.__file__), Path(web_demo.__file__).parent / "browser/style.css"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}/gradio_api/file={path}")
        assert caught.value.code in (403, 404)


def test_what_goes_wrong_is_one_sentence(refused: Callable[..., str], files: Any, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("this is text")
    masks = handle_file(files.masks)
    assert refused("/segment", image=handle_file(tmp_path / "text.png")).startswith("text.png is not a picture")
    assert "crops" in refused("/segment", crops=3)
    assert "caption" in refused("/find_nouns", caption=" ")
    assert "threshold" in refused("/ground", masks=masks, text=TEXT, threshold=2)
    assert "4" in refused("/edit", masks=masks, entities="4")
    assert refused("/edit", masks=masks, entities="").startswith("No entity matches ''; the photo has 3 entities")
    assert "text.png" in refused("/edit", masks=handle_file(tmp_path / "text.png"), entities="1")
    assert "grow" in refused("/edit", masks=masks, entities="1", grow=-1)


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("/segment", {"crops": "many"}, "crops is 'many', but must be a number."),
        ("/segment", {"crops": 4.5}, "crops is 4.5, but must be a whole number."),
        ("/segment", {"crops": [4]}, "crops is [4], but must be a number."),
        ("/segment", {"min_score": 2}, "min_score is 2, but must be a number from 0 to 1."),
        ("/segment", {"model": 5}, "model is 5, but must be the name of a model."),
        ("/ground", {"text": 5}, "text is 5, but must be text."),
        ("/ground", {"text": " "}, "text is empty."),
        ("/ground", {"text": "a dog, " * 9000}, "text has 63,000 characters; use 20,000 at most."),
        ("/edit", {"entities": "1," * 40_000}, "entities has 80,000 characters; use 20,000 at most."),
        ("/ground", {"text": TEXT, "read_as": "a poem"}, "read_as: 'a poem' is not in the list of choices: "),
        ("/ground", {"text": TEXT, "threshold": "high"}, "threshold is 'high', but must be a number."),
        ("/ground", {"text": TEXT, "threshold": "nan"}, "threshold is 'nan', but must be a number from 0 to 1."),
        ("/find_nouns", {"caption": ["a"]}, "caption is ['a'], but must be text."),
        ("/edit", {"entities": 3}, "entities is 3, but must be text."),
        ("/edit", {"entities": "what is this"}, ""),
        ("/edit", {"entities": "1", "grow": -1}, "grow is -1, but must be a number from 0 to 4096."),
        ("/edit", {"entities": "1", "soft": "yes"}, "soft is 'yes', but must be true or false."),
        ("/edit", {"entities": "1", "prompt": {"a": 1}}, "prompt is {'a': 1}, but must be text."),
        ("/edit", {"entities": "1", "prompt": "a hat", "steps": 0}, "The number of steps must be "),
        ("/edit", {"entities": "1", "prompt": "a hat", "model": "nobody/has-this"}, "nobody/has-this is not on this"),
    ],
)
def test_what_can_be_checked_at_once_is_checked_before_the_photo_is_taken_apart(
    refused: Callable[..., str],
    name: str,
    wrong: dict[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda *_, **__: pytest.fail("the photo was segmented"))
    said = refused(name, **wrong)
    assert said.startswith(sentence)
    assert "--" not in said
    assert "Gradio" not in said


@pytest.mark.parametrize(("read_as", "texts"), [("a sentence", [" 狗, 猫"]), ("a list of phrases", ["狗", "猫"])])
def test_words_that_the_model_does_not_know_are_refused_before_the_photo_is_taken_apart(
    refused: Callable[..., str], read_as: str, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: Grounder, given: Iterable[str]) -> list[str]:
        assert list(given) == texts
        raise InputError("It knows no word of that.")

    monkeypatch.setattr(Grounder, "check_words", unknown)
    monkeypatch.setattr(EntitySegmenter, "__call__", lambda *_, **__: pytest.fail("the photo was taken apart"))
    assert refused("/ground", text=" 狗, 猫", read_as=read_as) == "It knows no word of that."


def test_numbers_may_be_written_as_text(ask: Callable[..., Any]) -> None:
    labels, _ = ask("/segment", crops="0", min_score="0")
    assert Path(labels).is_file()


def test_an_expression_that_no_entity_reaches_has_none_but_a_guess(ask: Callable[..., Any], files: Any) -> None:
    given = {"masks": handle_file(files.masks), "text": "the red disc", "read_as": "an expression or a question"}
    found = ask("/ground", **given, threshold=1)
    assert found["phrases"][0]["entity_ids"] == []
    assert found["guess"]["entity_id"] in (1, 2, 3)
    sure = ask("/ground", **given, threshold=0)
    assert sure["phrases"][0]["entity_ids"] == [found["guess"]["entity_id"]]
    assert "guess" not in sure


def test_only_models_of_the_menus_are_taken(ask: Callable[..., Any], files: Any, tiny_model: Path) -> None:
    for name, more in {
        "/segment": {"model": str(tiny_model)},
        "/describe": {"model": "../weights"},
        "/ground": {"model": str(files.masks), "text": TEXT},
        "/edit": {"segmenter": str(tiny_model), "entities": "1"},
    }.items():
        with pytest.raises(client_library.exceptions.AppError, match="not in the list of choices"):
            ask(name, **more)


def test_where_others_see_the_page_they_take_the_owners_diffusion_model(
    launch: Callable[..., str], files: Any, tiny_diffusion: Callable[[int], Path], tmp_path: Path
) -> None:
    own, other = tiny_diffusion(9), tiny_diffusion(4)
    address = launch(host="0.0.0.0", inpainter=str(own))
    client = client_library.Client(address, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    given = {"image": handle_file(files.photo), "masks": handle_file(files.masks), "entities": "1", "prompt": "a hat"}
    assert Path(client.predict(**given, steps=1, api_name="/edit")).is_file()
    with pytest.raises(client_library.exceptions.AppError, match="not in the list of choices"):
        client.predict(**given, steps=1, model=str(other), api_name="/edit")
    client.close()


def test_what_is_left_out_is_one_sentence(refused: Callable[..., str]) -> None:
    for name, more in {"/segment": {}, "/find_nouns": {"caption": TEXT}, "/edit": {"entities": "1"}}.items():
        assert "image" in refused(name, image=None, **more)
