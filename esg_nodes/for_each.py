"""The node that lists masks with their prompts, so that one graph repaints all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..esg import InputError
from .host import host
from .inputs import choice, text, wire
from .picking import unreadable
from .values import ENTITIES, Entities, number_mask, one_by_one, to_mask

PHRASE, ENTITY = EACH = ("phrase", "entity")


class ForEach:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Lists a mask and a prompt for each phrase or entity. The nodes after it run once for each, so one graph "
        "repaints them all. Mask to Inpaint and Inpaint Stitch accept the lists."
    )
    SEARCH_ALIASES = ("loop", "for each mask", "for each phrase", "batch inpaint", "prompt per mask")
    RETURN_TYPES = ("MASK", "STRING", "STRING")
    RETURN_NAMES = ("masks", "prompts", "names")
    OUTPUT_TOOLTIPS = (
        "A list of masks; for a clip, a list of batches with one mask for each picture.",
        "The prompt for each mask.",
        "The name of each mask: its phrase, or the number of its entity.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True, True)
    FUNCTION = "list_all"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "Entities of one picture or of a clip; phrases come from Ground Text."),
                "each": choice(
                    EACH,
                    "phrase: one mask for all entities of a phrase. entity: one mask for each entity, named after its "
                    "first phrase.",
                ),
                "prompts": text(
                    "{name}",
                    "One line for each: 'sky = stars at night' is for the phrase sky, '3 = a red door' for entity 3. A "
                    "line without =, or one that begins with * =, is for all others; {name} in it stands for the "
                    "phrase. Without such a line, the others are skipped.",
                    lines=True,
                ),
            },
            "optional": {
                "only": text("", "Only these entities, as in Pick Entities: 3,5-7 / largest 2 / phrase: dog.")
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, only: Any = None) -> bool | str:
        return unreadable(only)

    def list_all(self, **lists: list[Any]) -> tuple[list[Any], ...]:
        calls = [*one_by_one(lists)]
        found: list[tuple[Tensor, str, str]] = []
        problems = []
        for place, given in enumerate(calls):
            try:
                own = self._list(**given, place=place, places=len(calls))
            except InputError as error:
                problems.append(error)
            else:
                found += own
        if len(problems) == len(calls):
            raise problems[0]
        host().say(" ".join(dict.fromkeys(map(str, problems))))
        if not found:  # an empty list would make the nodes after it fail
            return [to_mask([], lists["entities"][0].maps[0].labels.shape)], [""], [""]
        return tuple(map(list, zip(*found)))

    def list(self, entities: Entities, each: str, prompts: str, only: str = "") -> tuple[list[Any], ...]:
        """The same for one picture or clip."""
        return self.list_all(entities=[entities], each=[each], prompts=[prompts], only=[only])

    def _list(
        self, entities: Entities, each: str, prompts: str, place: int, places: int, only: str = ""
    ) -> Sequence[tuple[Tensor, str, str]]:
        """Mask, prompt and name of each phrase or entity, for the picture or clip at `place` in a list of `places`."""
        if len(entities) != 1 and entities.tracks is None:
            raise InputError(
                f"This node needs the entities of one picture or of a clip, but these are of {len(entities)} pictures; "
                "connect one picture, or use Segment Frames for a clip."
            )
        strict = None if places == 1 else False
        wanted = entities.choose(only if only.strip() else "all", strict=strict, first=place + 1)
        numbers = {int(own[k - 1]) for own, ids in zip(entities.numbers, wanted) for k in ids}
        general, special = _read_prompts(prompts)
        found = []
        named = _named(entities, each)
        known = {_key(name) for name, _ in named} | {str(k) for _, ids in named for k in ids if each == ENTITY}
        if named and special and general is None and not known & {*special}:
            raise InputError(
                f"No line of prompts fits; the names are {', '.join(dict.fromkeys(name for name, _ in named))}. Use "
                "one of them before the =, or write a line without = for all others."
            )
        for name, meant in named:
            meant = [k for k in meant if k in numbers]
            key = next(
                (key for key in (_key(name), *map(str, meant if each == ENTITY else [])) if key in special), None
            )
            prompt = general if key is None else special[key]
            if meant and prompt is not None:
                mask = number_mask(entities, meant)
                mask.batch = place, places
                found.append((mask, prompt.replace("{name}", name), name))
        return found


def _named(entities: Entities, each: str) -> list[tuple[str, list[int]]]:
    """Names and entity numbers of all phrases or entities, in the order of the caption or of the numbers."""
    groundings = entities.groundings
    if each == PHRASE:
        if not any(groundings):
            raise InputError(
                "These entities do not have phrases; put Ground Text before this node, or set each to entity."
            )
        meant: dict[tuple[str, int], set[int]] = {}  # by text, and how often the text occurs earlier in its caption
        for grounding, own in zip(groundings, entities.numbers):
            before: Counter[str] = Counter()
            for phrase in sorted(grounding.phrases, key=lambda one: one.span) if grounding else ():
                key = phrase.text, before[phrase.text]
                before[phrase.text] += 1
                meant.setdefault(key, set()).update(int(own[k - 1]) for k in phrase.entity_ids)
        return [(name, sorted(numbers)) for (name, _), numbers in meant.items()]
    names: dict[int, str] = {}
    for own, called in zip(entities.numbers, entities.names):
        for known, name in zip(own.tolist(), called):
            names[known] = names.get(known) or name
    return [(names[known] or str(known), [known]) for known in sorted(names)]


def _read_prompts(prompts: str) -> tuple[str | None, dict[str, str]]:
    """The prompt for all others, or None, and the special prompts by name."""
    general, special = [], {}
    for line in filter(None, map(str.strip, prompts.replace("＝", "=").splitlines())):
        name, equals, prompt = line.partition("=")
        if equals and name.strip() != "*":
            special[_key(name)] = prompt.strip()
        else:
            general.append(prompt.strip() if equals else line)
    return " ".join(general) if general else None, special


def _key(name: str) -> str:
    return " ".join(name.lower().split())
