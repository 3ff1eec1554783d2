"""Splits text in any script into words with their positions, and holds the English grammar that grounding needs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

Span = tuple[int, int]  # start and end in characters, the end exclusive

# Scripts that put no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han. Hangul does use them.
_SPACELESS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"
)
_JOINERS = "\u00ad\u200c\u200d"  # invisible within a word: soft hyphen, zero width non-joiner and joiner
_ACCENTS = re.compile("[\u0300-\u036f]")


def vocabulary(words: str) -> frozenset[str]:
    """A set of words, given as one string separated by spaces."""
    return frozenset(words.split())


_PLURALS = {
    **{"people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth"},
    **{"geese": "goose", "mice": "mouse", "oxen": "ox", "cacti": "cactus", "leaves": "leaf", "loaves": "loaf"},
    **{"shelves": "shelf", "wolves": "wolf", "calves": "calf", "halves": "half", "scarves": "scarf", "hooves": "hoof"},
    **{"knives": "knife", "wives": "wife", "lives": "life", "thieves": "thief", "elves": "elf"},
}
_NO_PLURALS = vocabulary("gas lens canvas christmas atlas always perhaps this his its s")

DETERMINERS = vocabulary(
    "a an the this that these those my your his her its our their some any no every each either neither both all "
    "another other more most many much several few various numerous multiple different such whose which lots plenty"
)
NUMBERS = vocabulary(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand dozen dozens"
)
# A phrase that starts with one of these describes the noun before it: "the dog near the door".
POSTPOSITIONS = vocabulary(
    "in on at by with without near beside besides behind before below beneath under underneath above over across "
    "against along alongside among amongst amid around between beyond inside outside into onto out off down up upon "
    "through throughout toward towards to from for as like next during after until than that which who whose while "
    "where when is are was were has have had being"
)
_PREPOSITIONS = POSTPOSITIONS - vocabulary("that which who while where when is are was were has have had") | {"of"}
FUNCTION_WORDS = POSTPOSITIONS | vocabulary(
    "of and or but nor so if because although though also too very quite rather not just only even then there here "
    "now together apart away back past within per via due near close tied used i you he she it we they me him us them "
    "himself herself itself themselves someone something anyone anything everyone everything nothing nobody what how "
    "why am be been do does did doing can could will would shall should may might must has having see seen shown "
    "made held worn taken sat stood wore rode ran ate drove flew threw s t re ve ll d m don doesn "
    "didn isn aren wasn weren"
)
_ARTICLES = vocabulary("a an the my your his her its our their some another")  # a noun phrase begins with these
_ONE = vocabulary("a an this that another each every one")  # a singular noun follows these
ADJECTIVES = vocabulary(
    "red green blue yellow orange purple pink brown black white grey gray golden silver beige light dark bright pale "
    "deep big small large little tiny huge tall short long wide narrow thick thin high low old young new round square "
    "flat open closed empty full clean dirty wet dry hot cold warm happy sad visible available able ready busy calm "
    "beautiful pretty colorful colourful striped shaggy wooden plain left right top bottom upper lower same different "
    "outdoor indoor sunny cloudy"
)
NOUNS_TOO = vocabulary("square orange")  # adjectives that are also nouns: "a blue square"
PLACES = vocabulary(  # not things by themselves: "on the left", "in the picture"
    "left right front back middle center centre side sides top bottom end edge leftmost rightmost foreground "
    "background image picture photo photograph scene view kind type variety way"
)
_VERBS = vocabulary(
    "sit stand walk run hold wear ride eat look lie lean play jump fly swim sleep rest graze peer gaze stare smile "
    "pose carry pull push hang grow cover surround contain feature depict show display cross pass enjoy chase "
    "catch throw drink climb drive wait travel reach touch overlook appear seem suggest stretch rise fill sail kick "
    "hit cut shake feed lick bite read talk speak sing dance cook prepare make take use give put bring move turn enter "
    "kiss hug float shine set bark follow pour write crash"
)
_POSTURES = vocabulary("lie lies sit sits stand stands hang hangs")
_ING_NOUNS = vocabulary(
    "building ceiling painting clothing railing wing ring string king swing morning evening lighting awning siding "
    "thing wedding setting covering flooring paving stuffing dressing icing topping frosting crossing drawing"
)
_LY_NOUNS = vocabulary("fly butterfly dragonfly family belly lily jelly july italy bully ally")


class Word(NamedTuple):
    """A word of a text: letters, digits and combining marks; a single character in a script without spaces.

    Attributes:
        key: the word with case, width and composition of its characters normalised.
        start, end: its span in the text, in characters.
        spaceless: whether it belongs to a script without spaces, in which real words may have several characters.
    """

    key: str
    start: int
    end: int
    spaceless: bool


def find_words(text: str) -> list[Word]:
    """The words of any string, in order. An emoji or another pictorial symbol is a word by itself."""
    found: list[tuple[int, int, str]] = []  # start, end, kind
    for place, character in enumerate(text):
        joined = bool(found) and found[-1][1] == place
        kind = _kind(character)
        if joined and (kind == "mark" or kind == "letter" == found[-1][2]):
            found[-1] = found[-1][0], place + 1, found[-1][2]
        elif kind not in ("mark", "gap"):
            found.append((place, place + 1, kind))
    return [Word(_key(text[start:end]), start, end, kind == "spaceless") for start, end, kind in found]


@lru_cache(maxsize=20_000)
def forms(key: str) -> frozenset[str]:
    """The key of a word without accents, and its possible English singulars, some of which do not exist.

    Two words that share a form are assumed to differ only in number or accents.
    """
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", key)))
    found = {plain, _PLURALS.get(plain, plain)}
    if plain.endswith("men") and len(plain) > 4:
        found.add(plain[:-3] + "man")  # firemen
    if plain.endswith("children"):
        found.add(plain[:-3])  # grandchildren
    if plain.endswith("s") and not plain.endswith("ss") and len(plain) > 2:
        found.add(plain[:-1])
        if plain.endswith("ies"):
            found.add(plain[:-3] + "y")
        if plain[:-2].endswith(("s", "x", "z", "ch", "sh", "o")) and plain.endswith("es"):
            found.add(plain[:-2])
    return frozenset(found)


def is_plural(key: str) -> bool:
    """Whether an English noun looks like a plural."""
    if key in _NO_PLURALS or key.endswith(("ss", "us", "is")):
        return False
    return len(forms(key)) > 1


def is_number(key: str) -> bool:
    """Whether an English word is a number, in letters or digits."""
    return key in NUMBERS or key.isdigit()


def is_adverb(key: str) -> bool:
    """Whether an English word looks like an adverb of manner."""
    return key.endswith("ly") and len(key) > 4 and key not in _LY_NOUNS


def is_qualifier(key: str) -> bool:
    """Whether an English word is an adjective or a number, which qualifies the noun after it."""
    return key in ADJECTIVES or is_number(key)


def is_verb(key: str, run: list[Word], determiner: str, added: bool, before: str, following: str) -> bool:
    """Whether a word after a noun phrase is more likely a verb than part of the phrase.

    Args:
        key: the word.
        run: the noun phrase so far, without its determiner.
        determiner: determiner of the noun phrase, or "".
        added: whether "and" precedes the noun phrase.
        before: the previous word.
        following: the next word; "." if punctuation comes first.
    """
    if run and all(one.key in PLACES for one in run) and key in _POSTURES:
        return True  # the disc at the top right lies
    qualified = all(is_qualifier(one.key) for one in run)
    if qualified and (determiner or run):
        return False  # a flying bird, two parked cars
    begins = following in _ARTICLES or is_number(following)
    stops = following == "." or following in FUNCTION_WORDS or following in DETERMINERS
    last = begins or stops or is_adverb(following)
    if key.endswith("ing") and key not in _ING_NOUNS:
        return last or bool({key[:-3], key[:-3] + "e", key[:-4]} & _VERBS)
    if key.endswith("ed") and len(key) > 4 and not key.endswith("eed"):
        return last
    if not run and before in _PREPOSITIONS:
        return before == "to" and key in _VERBS  # a table with drinks, a hand to hold
    plural = bool(run) and is_plural(run[-1].key)
    if key in _VERBS:
        return plural or added or not run  # dogs play, a dog and a cat play
    if not key.endswith("s") or key.endswith(("ss", "us", "is")):
        return bool(run) and (plural or added) and begins  # dogs chew a bone
    if plural:
        return False
    if forms(key) & _VERBS:
        return last or bool(run)  # the baby looks, an elephant drinks water
    return bool(run) and (begins or (last and determiner in _ONE))  # the boy peels a nut, a cow peers


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category.startswith("M") or character in _JOINERS:
        return "mark"
    if character.isalnum():
        return "spaceless" if _SPACELESS.match(character) else "letter"
    return "symbol" if category == "So" else "gap"


def _key(word: str) -> str:
    for joiner in _JOINERS:
        word = word.replace(joiner, "")
    # Case folding can decompose characters, so compose both before and after it.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
