"""Captions of photos, and lists of their nouns, from JSON: COCO's, LLaVA's conversations, and plain lists by file name.

They can be attached to any data set: see `WithCaptions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..entities.files import load_json
from ..entities.importing.fields import identifier, mapping, records, text
from ..language.nouns import align, parse_answer
from ..language.words import Span
from ..support.errors import InputError
from .annotated import AnnotatedPhoto, AnnotatedPhotos
from .problems import Problems

CAPTION_FORMS = (
    'COCO captions, LLaVA conversations, {"a.jpg": ["A dog.", ...]}, or '
    '[{"image": "a.jpg", "caption": "A dog.", "nouns": ["dog"]}, ...]'
)

_NO_NOUNS = "nouns that do not occur in their caption"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class WrittenCaption:
    """A caption that somebody wrote of a photo.

    Attributes:
        text: the caption, with single spaces between its words.
        nouns: spans of its nouns in characters, in order, ends exclusive; None if the file does not list them.
    """

    text: str
    nouns: tuple[Span, ...] | None = None


class Captions(Mapping[str, tuple[WrittenCaption, ...]]):
    """The captions of a file by photo: by its file name without folders and suffix, or by its id in the data.

    - COCO: `{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`; also a list of such entries.
    - LLaVA: `[{"image", "conversations": [{"from": "human", "value"}, {"from": "gpt", "value"}]}]`. The first answer is
      the caption. An answer to a question about "nouns" lists the nouns of the caption before it, as in Table III of
      the GELLA paper; other answers are left out.
    - plain: `{"a.jpg": "A dog."}`, `{"a.jpg": ["A dog.", "A pet."]}`, or, with nouns,
      `{"a.jpg": [{"caption": "A dog.", "nouns": ["dog"]}]}`; or a list of objects with `image` or `file_name`,
      `caption` or `captions`, and possibly `nouns`.

    Args:
        path: the JSON or JSON Lines file.

    Attributes:
        name: the file.
        problems: what was left out.

    Raises:
        InputError: the file cannot be read, has another format, or does not have a caption.

    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "captions.json"
    ...     _ = path.write_text(json.dumps({"a.jpg": [{"caption": "A dog and a cat.", "nouns": ["dog", "cat"]}]}))
    ...     Captions(path)["a"]
    (WrittenCaption(text='A dog and a cat.', nouns=((2, 5), (12, 15))),)
    """

    def __init__(self, path: str | Path) -> None:
        content = load_json(Path(path))
        self.name, self.problems = str(path), Problems()
        self._found: dict[str, list[WrittenCaption]] = {}
        if isinstance(content, Mapping) and isinstance(content.get("annotations"), list):
            self._read_coco(content)
        elif isinstance(content, Mapping):
            for photo, given in content.items():
                self._add(photo, given)
        elif isinstance(content, list):
            for number, one in enumerate(records(content)):
                self._read_entry(one, number)
        if not self._found:
            reasons = "; ".join(self.problems) or f"give {CAPTION_FORMS}"
            raise InputError(f"{path} does not contain captions of photos: {reasons}.")

    def __getitem__(self, photo: str) -> tuple[WrittenCaption, ...]:
        return tuple(self._found[photo])

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def of(self, photo: AnnotatedPhoto) -> tuple[WrittenCaption, ...]:
        """The captions of a photo, by its file name or else by its id; possibly none."""
        for key in (_stem(photo.name), identifier(photo.id) or ""):
            if key in self._found:
                return self[key]
        return ()

    def _read_coco(self, content: Mapping[str, Any]) -> None:
        names = {identifier(one.get("id")): text(one.get("file_name")) for one in records(content.get("images"))}
        for number, one in enumerate(records(content["annotations"])):
            key = identifier(one.get("image_id"))
            photo = names.get(key) or key
            if photo is None:
                self.problems.add("captions without a photo", f"number {number}")
            else:
                self._add(photo, one)

    def _read_entry(self, one: Mapping[str, Any], number: int) -> None:
        names = (text(one.get(key)) for key in ("image", "file_name", "filename", "file"))
        photo = next(filter(None, names), None) or identifier(one.get("image_id"))
        if photo is None:
            self.problems.add("entries without an image", f"number {number}")
        elif "conversations" in one:
            self._read_conversation(photo, records(one["conversations"]))
        else:
            self._add(photo, one)

    def _read_conversation(self, photo: str, turns: Sequence[Mapping[str, Any]]) -> None:
        question, caption, nouns, others = "", "", None, 0
        for turn in turns:
            said, speaker = text(turn.get("value")), text(turn.get("from")).lower()
            if speaker in ("human", "user"):
                question = said
            elif said and "noun" in question.lower():
                nouns = parse_answer(said)
                caption = caption or _quoted(question)
            elif said and not caption:
                caption = said
            else:
                others += 1
        if others:
            self.problems.add("conversations of which only the first answer is used", photo)
        self._add(photo, {"caption": caption} | ({} if nouns is None else {"nouns": nouns}))

    def _add(self, photo: str, given: Any) -> None:
        """Adds captions that are given as a text, an object, or a list of these."""
        added = False
        for one in given if isinstance(given, list) else [given]:
            fields = mapping(one)
            many = fields.get("captions")
            if isinstance(many, list):
                self._add(photo, many)
                added = True
                continue
            written = " ".join((text(one) or text(fields.get("caption"))).split())
            if written:
                own = WrittenCaption(written, self._spans(photo, written, fields.get("nouns")))
                self._found.setdefault(_stem(photo), []).append(own)
                added = True
        if not added:
            self.problems.add("photos without a caption", photo)

    def _spans(self, photo: str, caption: str, nouns: Any) -> tuple[Span, ...] | None:
        if not isinstance(nouns, list):
            return None
        given = [text(noun) for noun in nouns]
        spans = align(given, caption)
        for noun, span in zip(given, spans):
            if span is None:
                self.problems.add(_NO_NOUNS, f"{noun!r} of {photo}")
        return tuple(sorted({span for span in spans if span is not None}))


class WithCaptions(AnnotatedPhotos):
    """The photos of any data set with the captions of a file instead of their own.

    Args:
        photos: the data set.
        captions: the captions; photos that they do not have keep their own.
    """

    def __init__(self, photos: AnnotatedPhotos, captions: Captions) -> None:
        self.photos, self.captions = photos, captions
        self.name, self.categories = photos.name, photos.categories
        self.problems = Problems()
        self.problems.update(photos.problems)
        self.problems.update(captions.problems)

    def __len__(self) -> int:
        return len(self.photos)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index."""
        return self.photos.called(index)

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index; ImageError if its annotations cannot be read."""
        photo = self.photos[index]
        own = self.captions.of(photo)
        return replace(photo, captions=tuple(one.text for one in own)) if own else photo

    def texts(self, index: int) -> tuple[WrittenCaption, ...]:
        """The captions of the photo at an index with their nouns, for training; possibly none."""
        photo = self.photos[index]
        return self.captions.of(photo) or tuple(WrittenCaption(one) for one in photo.captions)

    @property
    def written(self) -> tuple[str, ...]:
        """All captions of the file, and of the data set."""
        return (*_texts(self.captions), *self.photos.written)


def _texts(captions: Captions) -> Iterable[str]:
    return (one.text for own in captions.values() for one in own)


def _stem(photo: str) -> str:
    """A file name without folders and suffix; an id in one notation."""
    name = PurePosixPath(photo.replace("\\", "/")).name
    stem = PurePosixPath(name).stem if PurePosixPath(name).suffix.lower() in _SUFFIXES else name
    return identifier(stem) or stem


def _quoted(question: str) -> str:
    """The sentence in a question about its nouns: "... The sentence is <A dog.>"."""
    return re.split(r"sentence is", question, maxsplit=1, flags=re.IGNORECASE)[-1].strip(" :<>\n")
