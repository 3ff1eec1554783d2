"""Nouns are parsed from answers of any form and found in the caption, and nothing here ever raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.captions import answer, answer_pieces
from esg.language.nouns import align, mended, noun_phrases, parse_answer, parse_pieces
from esg.language.words import find_words

COW = (
    "This image depicts an outdoor scene at what appears to be a petting zoo or farm. On the left, here’s a light "
    "brown cow with a shaggy coat and long horns peering over a yellow barrier, possibly looking for food or attention "
    "from the visitors. To the right, a woman wearing a cap and sunglasses is holding a baby. The baby is wearing a "
    "pink hat with a striped pattern and looks curiously at the cow."
)

# What makes trouble: tokens, list marks, quotes, letters that change their length, scripts without spaces.
BITS = [
    "<SEG>",
    "[SEG]",
    " and ",
    ", ",
    "\n",
    "1. ",
    "- ",
    "nouns",
    " including ",
    ": ",
    '"',
    "(",
    "*",
    ".",
    "dog",
    "a ",
]
BITS += ["ß", "İ", "狗", "ที่", "\u0301", "\ud83d", "🐶", "s", "'", "-", " two ", " of ", " on ", "2", "30", "½", ":"]
troubles = st.one_of(st.text(), st.lists(st.sampled_from(BITS)).map("".join))
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=6).filter(lambda word: word not in ("and", "as"))
ordinary_nouns = st.lists(words, min_size=1, max_size=3).map(" ".join)


def quoted(nouns: list[str], caption: str) -> list[str | None]:
    """What the caption reads where the nouns are found."""
    return [None if span is None else caption[slice(*span)] for span in align(nouns, caption)]


def keys(text: str) -> list[str]:
    return [word.key for word in find_words(text)]


def only_digits(text: str) -> bool:
    return all(key.isdigit() for key in keys(text))


# ----------------------------------------------------------------------------------------------------- answer to nouns


@pytest.mark.parametrize(
    "text",
    [
        "There are three semantic nouns, including dog <SEG>, black and white cat <SEG> and trees <SEG>.",
        "There are three semantic nouns, including dog <SEG>, black and white cat <SEG>, and trees <SEG>.",
        "There are nine semantic nouns, including dog <SEG>, black and white cat <SEG>, trees <SEG>",
        "there are 3 nouns in the sentence, including: dog <seg> black and white cat < SEG > trees [SEG]",
        "The semantic nouns are: dog<SEG>; black and white cat<SEG>; trees<SEG>. I hope that this helps!",
        "Sure! Including the smallest:\n1. dog <SEG>\n2. black and white cat <SEG>\n3. trees <SEG>",
        "1) dog: <SEG>\n2) black and white cat: <SEG>\n3) trees: <SEG>",
        '- "dog" <SEG>\n- **black and white cat** <SEG>\n- (trees) <SEG>\nDone.',
        "* dog - <SEG>\n* black and white cat → <SEG>\n* trees = <SEG>",
        "dog <SEG>, black and white cat <SEG>, and trees <SEG>.",
        "Nouns: dog <SEG>、black and white cat <SEG>、trees <SEG>。",
    ],
)
def test_answers_of_many_shapes(text: str) -> None:
    assert parse_answer(text) == ["dog", "black and white cat", "trees"]


@pytest.mark.parametrize(
    "text",
    [
        "There are three semantic nouns, including dog, cat and trees.",
        "The nouns are dog, cat, and trees.",
        "Here are the nouns:\n1. dog\n2. cat\n3. trees\nLet me know if you need more.",
        "- dog\n- **cat**\n- trees",
        "1) dog 2) cat 3) trees",
        '["dog", "cat", "trees"]',
        "dog\ncat\ntrees\n",
        "dog; cat; trees",
    ],
)
def test_answers_without_a_token(text: str) -> None:
    assert parse_answer(text) == ["dog", "cat", "trees"]


@pytest.mark.parametrize(
    ("text", "nouns"),
    [
        ("", []),
        (" \n.", []),
        ("There are no semantic nouns.", []),
        ("dog.", ["dog"]),
        ("dog and cat", ["dog", "cat"]),
        ("<SEG>", [""]),
        ("dog <SEG><SEG>, cat <SEG>", ["dog", "", "cat"]),
        ("Of these nouns I name one.\n\ndog <SEG>", ["dog"]),
        ("nouns, including 2 dogs <SEG> and woman's hat <SEG>", ["2 dogs", "woman's hat"]),
    ],
)
def test_answers_at_the_edge(text: str, nouns: list[str]) -> None:
    assert parse_answer(text) == nouns


def test_a_literal_token_is_data_in_pieces() -> None:
    nouns = ["<SEG> sign", "dog", "<SEG>"]
    assert parse_pieces(answer_pieces(nouns)) == nouns
    assert parse_pieces(["the <SEG> sign ", ""]) == ["the <SEG> sign"]
    assert parse_pieces([]) == []


@given(nouns=st.lists(ordinary_nouns, max_size=30))
def test_an_answer_gives_its_nouns_back(nouns: list[str]) -> None:
    assert parse_answer(answer(nouns)) == nouns


@given(text=troubles, pieces=st.lists(troubles, min_size=2, max_size=5))
def test_any_answer_is_parsed(text: str, pieces: list[str]) -> None:
    assert all(isinstance(noun, str) for noun in parse_answer(text))
    assert len(parse_pieces(pieces)) == len(pieces) - 1  # one noun for every token
    if "SEG" not in text.upper():
        assert all(parse_answer(text))  # none is empty without tokens


# ----------------------------------------------------------------------------------------------------- nouns to places


@pytest.mark.parametrize(
    ("noun", "caption", "found"),
    [
        ("art", "A cart with art", "art"),
        ("art", "A cart", None),
        ("LIGHT brown Cow", "a light-brown\n cow.", "light-brown\n cow"),
        ("dogs", "the dog", "dog"),
        ("dog", "the Dogs", "Dogs"),
        ("person", "many people", "people"),
        ("two dogs", "the dogs", "dogs"),
        ("a red ball", "the red ball", "red ball"),
        ("big red ball", "a small red ball", "red ball"),
        ("dogs near the door", "dogs by a door", "dogs"),
        ("group of people", "some people", "people"),
        ("on the left", "the left", "left"),
        ("the woman's", "the man's", None),
        ("2 dogs", "two dogs", "dogs"),
        ("group of two people", "some people", "people"),
        ("disc 7", "disc 3, 7", None),
        ("red shapes Some shapes", "white shapes", None),  # several nouns in a row are none
        ("three shapes Somer shapes", "white shapes", None),
        ("Four blue shapes Some blue area", "a brown area", None),
        ("firetruck", "a red fire truck", "fire truck"),
        ("t-shirt", "a tshirt", "tshirt"),
        ("an ice", "a nice dog", None),
        ("straße", "Die STRASSE", "STRASSE"),
        ("STRASSE", "ßß Straße", "Straße"),
        ("istanbul", "İİ İstanbul", "İstanbul"),
        ("cafe", "ein Café", "Café"),
        ("cafe\u0301", "ein Café", "Café"),
        ("狗", "一只小狗在草地上", "狗"),
        ("小狗", "一只 小 狗", "小 狗"),
        ("大狗", "一只小狗", None),
        ("犬", "いぬと犬", "犬"),
        ("ねこ", "いぬ", None),
        ("หมา", "มีหมาสองตัว", "หมา"),
        ("собака", "Большая СОБАКА", "СОБАКА"),
        ("<SEG>", "a <SEG> sign", "<SEG>"),
        ("<SEG> sign", "a SEG sign", "SEG sign"),
        ("C++", "written in C++.", "C++"),
        ("🐶", "a 🐶", "🐶"),
        ("", "a dog", None),
        ("...", "a dog...", None),
        ("dog", "", None),
    ],
)
def test_what_is_found_for_a_noun(noun: str, caption: str, found: str | None) -> None:
    assert quoted([noun], caption) == [found]


def test_repeated_nouns_take_one_place_after_another() -> None:
    caption = "A dog, a Dog and two dogs"
    assert align(["dog", "dog", "dog"], caption) == [(2, 5), (9, 12), (21, 25)]


def test_a_noun_is_looked_for_after_the_one_before_it() -> None:
    caption = "The baby sees the cow. The woman holds the baby."
    assert align(["cow", "woman", "baby"], caption)[2] == (43, 47)
    assert align(["cow", "baby", "baby"], caption)[1:] == [(4, 8), (43, 47)]  # ascending all the same
    assert quoted(["woman", "cow"], caption) == ["woman", "cow"]


def test_a_noun_leaves_longer_nouns_their_place() -> None:
    assert align(["horse", "brown horse"], "A brown horse next to a horse") == [(24, 29), (2, 13)]
    assert align(["two dogs", "dogs"], "dogs and two dogs") == [(9, 17), (0, 4)]


def test_a_noun_rather_stands_where_nothing_parts_its_words() -> None:
    assert align(["red dog"], "It is red. Dog and red dog") == [(19, 26)]
    assert quoted(["red dog"], "It is red: dog") == ["red: dog"]


def test_spans_overlap_only_where_no_place_is_left() -> None:
    assert align(["dog", "dog"], "a dog") == [(2, 5), (2, 5)]
    assert align(["woman's hat", "woman"], "the woman's hat") == [(4, 15), (4, 9)]
    assert align(["brown cow", "cow", "cow"], "a brown cow, a cow") == [(2, 11), (8, 11), (15, 18)]


def test_the_example_of_the_paper() -> None:
    nouns = ["petting zoo", "light brown cow", "shaggy coat", "horns", "barrier", "food", "visitors", "woman"]
    nouns += ["sunglasses", "baby", "baby", "hat", "cow"]
    spans = align(nouns, COW)
    assert quoted(nouns, COW) == nouns
    assert spans == sorted(spans)  # type: ignore[type-var]
    assert len(set(spans)) == len(spans)


@given(caption=troubles, nouns=st.lists(troubles, max_size=5))
def test_spans_of_anything_quote_the_caption(caption: str, nouns: list[str]) -> None:
    spans = align(nouns, caption)
    assert len(spans) == len(nouns)
    for span in spans:
        assert span is None or (0 <= span[0] < span[1] <= len(caption) and caption[slice(*span)].strip())


@given(caption=troubles, data=st.data())
def test_a_noun_that_is_cut_from_a_caption_is_found_again(caption: str, data: st.DataObject) -> None:
    found = find_words(caption)
    if found:
        first = data.draw(st.integers(0, len(found) - 1))
        last = data.draw(st.integers(first, len(found) - 1))
        noun = caption[found[first].start : found[last].end]
        (place,) = quoted([noun], caption)
        assert place is not None
        assert keys(place) == keys(noun)


@given(parts=st.lists(st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3), st.booleans()), max_size=8))
def test_all_nouns_that_are_cut_from_a_caption_are_found_apart(parts: list[tuple[list[str], bool]]) -> None:
    caption = ", ".join(" ".join(part) for part, _ in parts)
    nouns = [" ".join(part) for part, is_noun in parts if is_noun]
    assert [None if place is None else keys(place) for place in quoted(nouns, caption)] == [keys(n) for n in nouns]


# ----------------------------------------------------------------------------------------- noun phrases without a model


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        (
            "A light brown cow with a shaggy coat peers over a yellow barrier.",
            ["light brown cow", "shaggy coat", "yellow barrier"],
        ),
        (
            COW.partition(". ")[2].partition(". ")[0],
            [*("light brown cow", "shaggy coat", "long horns", "yellow barrier", "food", "attention", "visitors")],
        ),
        ("a woman wearing a cap and sunglasses is holding a baby", ["woman", "cap", "sunglasses", "baby"]),
        ("Two dogs play in the park near a red bus.", ["Two dogs", "park", "red bus"]),
        ("two parked cars and a dog chases the cat", ["two parked cars", "dog", "cat"]),
        ("There are three red discs left of the ring.", ["three red discs", "ring"]),
        ("A woman's hat lies on a small swimming pool", ["woman's hat", "small swimming pool"]),
        ("The sky is blue and it isn't cloudy", ["sky"]),
        ("The disc at the top right lies above a box", ["disc", "box"]),
        ("Two stars on the left hang over the whole picture", ["Two stars"]),
        ("The top hat on the left hand", ["top hat", "left hand"]),
        ("In the picture we can see people", ["people"]),
        ("visitors can interact with an orange", ["visitors", "orange"]),
        ("The boy kicks the ball; an elephant drinks water.", ["boy", "ball", "elephant", "water"]),
        ("The chef peels the nuts and the sun sets behind a hill", ["chef", "nuts", "sun", "hill"]),
        ("Boats float on a lake, dogs chew a bone", ["Boats", "lake", "dogs", "bone"]),
        ("A dog and its puppy lie on a bed to play", ["dog", "puppy", "bed"]),
        ("The tennis players on a shelf with drinks", ["tennis players", "shelf", "drinks"]),
        ("A black and white cow; a big, brown dog", ["black and white cow", "big, brown dog"]),
        ("The cow is black and white. In the foreground it eats", ["cow"]),
        ("There are 2 red shapes and 3 white shapes.", ["2 red shapes", "3 white shapes"]),
        ("2 parked cars, 1 dog; 4 of them are red, 30 large", ["2 parked cars", "1 dog"]),
        (
            "A boy holding 2 bags. It also shows two hills, dogs chew 3 bones",
            ["boy", "2 bags", "two hills", "dogs", "3 bones"],
        ),
        ("A clock at 10:30 in 2019, 3.5 metres and 1,000 people", ["clock", "3.5 metres", "1,000 people"]),
        ("1. red shape\n2. white shape\n3. 2 brown areas", ["red shape", "white shape", "2 brown areas"]),
        ("1) a dog 2) a cat", ["dog", "cat"]),
        ("The number 7 on a 2-door car", ["number 7", "2-door car"]),
        ("一只狗。一只猫", ["一只狗", "一只猫"]),
        ("", []),
    ],
)
def test_noun_phrases_of_captions(caption: str, phrases: list[str]) -> None:
    assert [caption[start:end] for start, end in noun_phrases(caption)] == phrases


@given(caption=troubles)
def test_noun_phrases_of_anything_stand_in_order(caption: str) -> None:
    places = [place for span in noun_phrases(caption) for place in span]
    assert places == sorted(places)
    assert all(start < end for start, end in noun_phrases(caption))
    assert all(0 <= place <= len(caption) for place in places)
    assert not any(only_digits(caption[slice(*span)]) for span in noun_phrases(caption))


@pytest.mark.parametrize("number", ["one", "two", "seven", "twelve"])
@pytest.mark.parametrize(
    "caption",
    [
        "There are {} red discs on the left.",
        "{} dogs play, and a man holding {} bags peels {} of the nuts",
        "a red disc, {} parked cars and the {} large buses; {} blue",
        "It shows {} hills",
    ],
)
def test_digits_are_read_as_number_words_are(caption: str, number: str) -> None:
    in_words, in_digits = caption.replace("{}", number), caption.replace("{}", "12")
    phrases = [in_words[start:end].replace(number, "12") for start, end in noun_phrases(in_words)]
    assert [in_digits[start:end] for start, end in noun_phrases(in_digits)] == phrases


@pytest.mark.parametrize(
    ("listed", "caption", "expected"),
    [
        (["brown"], "A brown cat on a grey area.", ["brown cat", "grey area"]),  # without its head
        (["red spot", "green"], "A man in a red shirt holds a green ball.", ["man", "red shirt", "green ball"]),
        ([], "Two dogs near the door.", ["Two dogs", "door"]),
        (["disc"], "A red disc on a bar.", ["disc"]),  # what it read well stays as it is
        (["disc"], "A red disc and a bar on a wall", ["red disc", "bar"]),  # but a list is of things of one kind
        (["disc", "bar"], "A red disc and a bar on a wall", ["disc", "bar"]),
        (["shape", "white area"], "A shape; a white shape; a brown area", ["shape", "white shape", "brown area"]),
        (["house"], "tree, house\nand the car. A cup", ["tree", "house", "car"]),
        (["the"], "The cat sits on the mat.", ["cat", "mat"]),
        (["There", "cat"], "There is a cat on the mat.", ["cat", "mat"]),
        (["on the"], "The cat sits on the mat.", ["cat", "mat"]),
        (["dog", "and", "cat"], "A dog and a cat near food", ["dog", "cat", "food"]),
        (["the dog and", "cat"], "The dog and the cat near food", ["dog", "cat"]),
        (["black", "white cow"], "A black and white cow", ["black and white cow"]),
        (["C++", "the <SEG>"], "C++ on the <SEG>", ["C++", "<SEG>"]),
        (["red disc", "bar at the top"], "A red disc and a bar at the top.", ["red disc", "bar at the top"]),
        (["two small cats on the left", "area"], "An area and two dogs.", ["area", "two dogs"]),
        (["red disc"], "1 red disc, 2 blue bars", ["1 red disc", "2 blue bars"]),  # it cannot copy digits
        (["discs"], "2 red discs on a bar", ["discs"]),
        (["", "and"], "There are 2 red shapes and 3 white shapes.", ["2 red shapes", "3 white shapes"]),
        (["", "2"], "The 2 cats at 10:30.", ["2 cats"]),
        (["spots left", "area"], "10 spots at the left and 1 area", ["10 spots", "1 area"]),
        (["red shape", "30"], "A red shape at 10:30 and a brown area", ["red shape", "brown area"]),
        (["area", "and"], "A large brown area and 3 spots.", ["large brown area", "3 spots"]),  # no more than its head
        (["area at the top", ""], "A large area at the top", ["large area at the top"]),
        (["red shape", "white area", "brown area"], "A red shape; a brown area", ["red shape", "brown area"]),
        (["woman's hat", "woman"], "the woman's hat", ["woman's hat"]),
        (["red shape"], "1. red shape\n2. white shape\n3) area", ["red shape", "white shape", "area"]),
        (["Some shapes Some shapes"], "1. red shape\n2. white shape", ["red shape", "white shape"]),
    ],
)
def test_what_a_model_misread_is_mended(listed: list[str], caption: str, expected: list[str]) -> None:
    spans = mended(align(listed, caption), caption)
    assert [caption[slice(*span)] for span in spans] == expected


@given(
    st.lists(st.one_of(st.text("ab d2", max_size=5), troubles), max_size=4),
    st.one_of(st.text("ab d.,23:", max_size=20), troubles),
)
def test_mended_spans_quote_the_caption_in_order(listed: list[str], caption: str) -> None:
    spans = mended(align(listed, caption), caption)
    places = [place for span in spans for place in span]
    assert places == sorted(places)  # so none lies inside another one
    assert all(0 <= start < end <= len(caption) for start, end in spans)
    assert not any(only_digits(caption[slice(*span)]) for span in spans)
