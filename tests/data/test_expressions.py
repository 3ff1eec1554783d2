"""RefCOCO's and ReasonSeg's files, with the oddities of the published ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from text_sets import polygon, reference, save_photo, shape, write_reason, write_refcoco

from esg.data.opening_expressions import open_expressions
from esg.data.plain_pickle import load_plain_pickle
from esg.data.reasonseg import ReasonSeg, read_explanations
from esg.data.refcoco import RefCoco
from esg.entities import rle
from esg.evaluation.paper_texts import referring_rows
from esg.support.errors import ImageError, InputError


class Harmful:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_references_by_photo(tmp_path: Path) -> None:
    data = RefCoco(write_refcoco(tmp_path / "refcoco+"))
    assert (data.kind, data.split, data.total, len(data), data.chooses) == ("refcoco+", "val", 3, 1, True)
    one = data[0]
    assert one.photo.image().shape == (4, 6, 3)
    assert len(one.photo.segments) == 2
    said = {expression.text: rle.decode_mask(expression.mask) for expression in one.expressions}
    assert list(said) == ["left dog", "the dog on the left", "dog at right"]
    assert [expression.id for expression in one.expressions] == ["10", "11", "30"]
    assert said["left dog"].tolist() == [[True] * 2 + [False] * 4] * 4
    assert said["dog at right"].tolist() == [[False] * 3 + [True] * 2 + [False]] * 4  # the union of two RLEs
    assert pickle.loads(pickle.dumps(data)).total == 3  # noqa: S301 - for worker processes


def test_splits_and_authors(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcocog", author="umd")
    data = open_expressions(folder, "testA")
    assert (data.kind, data.total) == ("refcocog", 1)
    with pytest.raises(InputError, match=r"split testB that can be used; it has val \(2\), testA \(1\)"):
        open_expressions(folder, "testB")
    (folder / "refs(google).p").write_bytes(pickle.dumps([reference(1, 1, "val", "x")]))
    assert RefCoco(folder).total == 3  # umd's is used
    other = RefCoco(folder / "refs(google).p")
    assert (other.kind, other.total) == ("refcocog (google)", 1)
    assert (bool(referring_rows(data.kind, "val")), referring_rows(other.kind, "val")) == (True, {})


def test_photos_of_2017_will_do(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refcoco")
    old = tmp_path / "images/mscoco/images/train2014/COCO_train2014_000000000007.jpg"
    old.rename(old.with_name("000000000007.jpg"))
    assert RefCoco(folder)[0].photo.image().shape == (4, 6, 3)
    old.with_name("000000000007.jpg").unlink()
    with pytest.raises(ImageError, match=r"COCO_train2014_000000000007\.jpg is missing"):
        RefCoco(folder)[0].photo.image()


def test_unusable_references_are_counted_and_named(tmp_path: Path) -> None:
    references = [
        reference(1, 1, "val", "left dog"),
        reference(2, 1, "val", "elsewhere", image=8),
        reference(3, 1, "val"),
        reference(4, 99, "val", "nothing"),
        "nonsense",
    ]
    data = RefCoco(write_refcoco(tmp_path / "refcoco", references))
    assert list(data.problems) == [
        "references to photos that are not listed (1): id 2",
        "references without a sentence (1): id 3",
    ]
    assert [expression.text for expression in data[0].expressions] == ["left dog"]
    assert list(data[0].problems) == [
        "references to annotations that are missing (1): id 4 of COCO_train2014_000000000007.jpg"
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_never_run_anything(tmp_path: Path, protocol: int) -> None:
    folder, trap = write_refcoco(tmp_path / "refcoco"), tmp_path / "run"
    file = folder / "refs(unc).p"
    file.write_bytes(pickle.dumps([Harmful(trap)], protocol))
    with pytest.raises(InputError, match=r"is a pickle that asks for .*, which may run a program"):
        RefCoco(folder)
    assert not trap.exists()
    pickle.loads(file.read_bytes())  # noqa: S301 - the trap works
    assert trap.exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"(lp0", b"S'\n", b"cos\nsystem", b"\x82\x01.", b"0", b"}0b."])
def test_damaged_pickles_are_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "refs(unc).p").write_bytes(data)
    with pytest.raises(InputError, match=r"refs\(unc\)\.p is (not a pickle, or is incomplete|a pickle that asks for)"):
        load_plain_pickle(tmp_path / "refs(unc).p")


def test_texts_of_python_2_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.p").write_bytes(b"(lp0\n(dp1\nS'sent'\np2\nS'caf\\xc3\\xa9'\np3\nsS'ref_id'\np4\nL5L\nsa.")
    assert load_plain_pickle(tmp_path / "a.p") == [{"sent": "café", "ref_id": 5}]


def test_larger_outlines_lie_below_and_ignored_ones_do_not_count(tmp_path: Path) -> None:
    shapes = [
        shape("ignore", 4, 4, 7, 7),
        shape("target", 0, 0, 19, 9),
        shape("flag", 0, 0, 39, 29),
        {"label": "target", "points": "none"},
    ]
    write_reason(tmp_path / "val", "a", ["Which part can be eaten?", "Another wording"], shapes)
    data = open_expressions(tmp_path)
    assert (data.kind, data.split, data.total, data.chooses) == ("reasonseg", "val", 1, False)
    (expression,) = data[0].expressions
    assert expression.text == "Which part can be eaten?"
    true, ignored = rle.decode_mask(expression.mask), rle.decode_mask(expression.ignored)
    assert (int(true.sum()), int(ignored.sum())) == (20 * 10 - 16, 16)
    assert ignored[4:8, 4:8].all()
    assert list(data[0].problems) == ["outlines without usable points (1): number 3 of a.jpg"]
    assert [one.text for one in ReasonSeg(tmp_path / "val", every_text=True)[0].expressions][1] == "Another wording"


def test_without_opencv_outlines_are_the_same_squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    write_reason(tmp_path, "a", ["x"], [shape("target", 2, 3, 19, 9)])
    true = rle.decode_mask(ReasonSeg(tmp_path)[0].expressions[0].mask)
    expected = np.zeros((30, 40), bool)
    expected[3:10, 2:20] = True
    assert np.array_equal(true, expected)


def test_annotations_in_the_encoding_of_windows(tmp_path: Path) -> None:
    write_reason(tmp_path, "a", ["the dog’s “café”"], [shape("target", 0, 0, 2, 2)], encoding="cp1252")
    assert ReasonSeg(tmp_path)[0].expressions[0].text == "the dog’s “café”"


def test_unusable_annotations_are_counted_and_named(tmp_path: Path) -> None:
    write_reason(tmp_path, "a", ["x"], [])
    write_reason(tmp_path, "b", [], [])
    for name, text in (("c", "{"), ("d", '{"text": ["x"]}'), ("e", "[]")):
        save_photo(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "f.json").write_text("{}")
    data = ReasonSeg(tmp_path)
    assert data.total == 1
    assert list(data.problems) == [
        "annotations without a text (2): b.json, e.json",
        "annotations that cannot be read (1): c.json",
        "annotations without outlines (1): d.json",
        "annotations without a photo (1): f.json",
    ]
    assert rle.area(data[0].expressions[0].mask) == 0


def test_explanations(tmp_path: Path) -> None:
    save_photo(tmp_path / "train/a.jpg")
    (tmp_path / "explanatory").mkdir()
    entries = [
        {"image": "a.jpg", "query": "Which?", "outputs": "The left one, because ..."},
        {"image": "b.jpg", "query": "Which?", "outputs": "That one."},
        {"image": "a.jpg", "query": "Which?"},
    ]
    (tmp_path / "explanatory/train.json").write_text(json.dumps(entries))
    found, problems = read_explanations(tmp_path)
    assert [(one.photo.name, one.question, one.answer) for one in found] == [
        ("a.jpg", "Which?", "The left one, because ...")
    ]
    assert list(problems) == [
        "photos that are missing (1): b.jpg",
        "entries without image, query or outputs (1): number 2",
    ]


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist; give a folder with refs\(unc\)\.p"):
        open_expressions(tmp_path / "nowhere")
    with pytest.raises(InputError, match="does not contain expressions of the split val"):
        open_expressions(tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(InputError, match=r"no photo NAME\.jpg has a NAME\.json"):
        open_expressions(tmp_path)
    with pytest.raises(InputError, match=r"does not contain refs\(unc\)\.p"):
        RefCoco(tmp_path)
    folder = write_refcoco(tmp_path / "refcoco")
    (folder / "refs(unc).p").write_bytes(pickle.dumps({"a": polygon(0, 0, 1, 1)}))
    with pytest.raises(InputError, match="does not contain a list of references"):
        RefCoco(folder)


def test_refclef_is_read_with_its_own_photos_and_without_figures_of_others(tmp_path: Path) -> None:
    folder = write_refcoco(tmp_path / "refclef", [reference(1, 2, "train", "dog at right")], author="berkeley")
    photo = tmp_path / "images/saiapr_tc-12/COCO_train2014_000000000007.jpg"
    save_photo(photo)
    data = open_expressions(folder, "train")
    assert (data.kind, data.total) == ("refclef", 1)
    assert data[0].photo.file == photo
    assert [one.text for one in data[0].expressions] == ["dog at right"]


def test_a_photo_of_which_no_outline_can_be_read_has_no_questions(tmp_path: Path) -> None:
    write_reason(tmp_path, "a", ["What?"], [{"label": "target", "points": []}])
    write_reason(tmp_path, "b", ["What?"], [{"label": "target", "points": [[float("nan"), 0], [3, 4], [5, 6]]}])
    write_reason(tmp_path, "c", ["What is not there?"], [])
    damaged, unreal, nothing = open_expressions(tmp_path)
    assert (damaged.expressions, unreal.expressions) == ((), ())
    assert list(damaged.problems) == ["outlines without usable points (1): number 0 of a.jpg"]
    assert [rle.area(one.mask) for one in nothing.expressions] == [0]
