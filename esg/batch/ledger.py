"""The ledger of a run, in _esg/ in the output folder: its settings, its plan, and the shards that are done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from ..support.errors import InputError
from .places import Place
from .settings import Settings
from .shards import Shard, Source, divide, unique

FOLDER = "_esg"
_TABLE = re.compile(r"part-\d{6,}-[0-9a-f]{8}\.parquet")
_FATAL = 2  # deaths of a worker on the same photo, after which the photo is not tried again


@dataclass(frozen=True)
class Summary:
    """The outcome of a shard.

    Attributes:
        number: of the shard.
        photos: photos with results.
        entities: entities in them.
        errors: photos that could not be used.
        seconds: time that the worker took.
        stopped: why the run cannot continue, if a worker found a reason; the shard is then not done.
    """

    number: int
    photos: int = 0
    entities: int = 0
    errors: int = 0
    seconds: float = 0.0
    stopped: str = ""

    def to_json(self) -> str:
        """The summary in one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


@dataclass
class Attempt:
    """A worker's attempts at a shard, which show whether a photo kills it.

    Attributes:
        number: of this attempt, from 1.
        photo: the photo in work, which is noted from the second attempt on.
        deaths: how often a worker died on a photo.
    """

    number: int = 0
    photo: str = ""
    deaths: dict[str, int] = field(default_factory=dict)

    @property
    def is_careful(self) -> bool:
        """Whether a worker died on this shard, so that every photo is noted before it is read."""
        return self.number > 1

    def is_fatal(self, photo: str) -> bool:
        """Whether this photo killed so many workers that it is left out."""
        return self.deaths.get(photo, 0) >= _FATAL


class Ledger:
    """Reads and writes the ledger of an output folder.

    A shard is done once its summary exists, which is written after all its other files.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def check_settings(self, settings: Settings) -> None:
        """Notes the settings of a new run, or compares them with those that the run began with.

        As long as no shard is done, the run can begin again with other settings and other inputs.

        Raises:
            InputError: they differ.
        """
        text = self.place.read_text(f"{FOLDER}/settings.json")
        if text is None or not self.done():
            for name in self._plans():
                self.place.remove(f"{FOLDER}/{name}")
            self.place.write_text(f"{FOLDER}/settings.json", settings.to_json())
            return
        earlier, wanted = Settings.from_json(text).for_results(), settings.for_results()
        changed = [name for name in wanted if wanted[name] != earlier[name]]
        if changed:
            said = ", ".join(f"{name} {earlier[name]!r}" for name in changed)
            raise InputError(
                f"{self.place.where} holds results of a run with other settings ({said}); use the same ones to resume "
                "it, or choose another output folder."
            )

    def plan(self) -> list[Shard]:
        """The shards of all sources that were ever given, in order."""
        texts = [self.place.read_text(f"{FOLDER}/{name}") or "" for name in self._plans()]
        return [Shard.from_json(line) for text in texts for line in text.splitlines()]

    def extend(self, sources: Iterable[Source], settings: Settings, size: int) -> list[Shard]:
        """Adds shards for the sources that are not in the plan yet, notes them, and returns the whole plan."""
        plan = self.plan()
        known = [source for shard in plan for source in shard.sources]
        photos = {source.photo for source in known}
        new = unique((one for one in sources if one.photo not in photos), (source.name for source in known))
        key = json.dumps(settings.for_results())
        added = [shard.with_key(key) for shard in divide(new, size, len(plan))]
        if added:
            lines = "".join(f"{shard.to_json()}\n" for shard in added)
            self.place.write_text(f"{FOLDER}/plan-{len(self._plans()):06d}.jsonl", lines)
        return plan + added

    def done(self) -> set[str]:
        """The names of the shards that are done."""
        return {name.removesuffix(".json") for name in self.place.names(f"{FOLDER}/done")}

    def failed(self) -> set[str]:
        """The names of the shards with photos that could not be used."""
        return {name.removesuffix(".parquet") for name in self.place.names("errors")}

    def forget(self, shard: Shard) -> None:
        """Marks a shard as not done."""
        self.place.remove(f"{FOLDER}/done/{shard.name}.json")

    def summary(self, shard: Shard) -> Summary | None:
        """The summary of a shard that is done; None for others."""
        text = self.place.read_text(f"{FOLDER}/done/{shard.name}.json")
        return None if text is None else Summary(**json.loads(text))

    def begin(self, shard: Shard) -> Attempt:
        """Notes that a worker begins a shard. If it died on a photo in an earlier attempt, that is counted."""
        text = self.place.read_text(f"{FOLDER}/started/{shard.name}.json")
        attempt = Attempt() if text is None else Attempt(**json.loads(text))
        if attempt.photo:
            attempt.deaths[attempt.photo] = attempt.deaths.get(attempt.photo, 0) + 1
        attempt.number, attempt.photo = attempt.number + 1, ""
        self._write(shard, attempt)
        return attempt

    def note(self, shard: Shard, attempt: Attempt, photo: str) -> None:
        """Notes the photo that is in work."""
        attempt.photo = photo
        self._write(shard, attempt)

    def finish(self, shard: Shard, summary: Summary) -> None:
        """Notes that a shard is done."""
        self.place.write_text(f"{FOLDER}/done/{shard.name}.json", summary.to_json())
        self.place.remove(f"{FOLDER}/started/{shard.name}.json")

    def tidy(self) -> None:
        """Deletes what killed runs left, once all shards are done: half-written files, and tables of other plans."""
        names = {f"{shard.name}.parquet" for shard in self.plan()}
        for folder in ("entities", "errors"):
            for name in self.place.names(folder):
                if _TABLE.fullmatch(name) and name not in names:
                    self.place.remove(f"{folder}/{name}")
        for folder in (FOLDER, f"{FOLDER}/done", f"{FOLDER}/started", "entities", "errors"):
            self.place.remove_unfinished(folder)

    def _plans(self) -> list[str]:
        return [name for name in self.place.names(FOLDER) if name.startswith("plan-")]

    def _write(self, shard: Shard, attempt: Attempt) -> None:
        self.place.write_text(f"{FOLDER}/started/{shard.name}.json", json.dumps(asdict(attempt)))
