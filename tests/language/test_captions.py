"""Prompts and answers as in the paper, and the spans of names in captions made from lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.captions import (
    DESCRIBE,
    EXTRACT,
    WORDINGS,
    answer,
    answer_pieces,
    category_caption,
    describe,
    extract,
    number_words,
    phrase_caption,
)
from esg.support.errors import InputError

names = st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=6)


def test_the_prompts_of_table_3() -> None:
    assert DESCRIBE == "Please help me describe the image."
    assert extract("two dogs near the door") == (
        "Please help me extract each semantic noun of the sentence. The sentence is two dogs near the door."
    )


@pytest.mark.parametrize("caption", ["A dog runs.", "Dogs!", "一只狗。"])
def test_a_sentence_keeps_its_own_full_stop(caption: str) -> None:
    assert extract(f" {caption}\n").endswith(f" The sentence is {caption}")


@pytest.mark.parametrize("caption", ["", " \n"])
def test_an_empty_caption_is_refused(caption: str) -> None:
    with pytest.raises(InputError, match="caption is empty"):
        extract(caption)


# ----------------------------------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize(
    ("nouns", "text"),
    [
        ([], "There are no semantic nouns."),
        (["dog"], "There is one semantic noun, including dog <SEG>."),
        (["dog", "cat"], "There are two semantic nouns, including dog <SEG> and cat <SEG>."),
        (
            ["petting zoo", "light brown cow", "animals"],
            "There are three semantic nouns, including petting zoo <SEG>, light brown cow <SEG> and animals <SEG>.",
        ),
    ],
)
def test_the_form_of_an_answer(nouns: list[str], text: str) -> None:
    assert answer(nouns) == text


def test_an_answer_counts_in_words() -> None:
    assert answer(["dog"] * 21).startswith("There are twenty one semantic nouns, including dog <SEG>, dog <SEG>, ")


def test_the_pieces_of_an_answer_keep_a_literal_token_apart() -> None:
    assert answer_pieces(["<SEG> sign", "dog"]) == [
        "There are two semantic nouns, including <SEG> sign ",
        " and dog ",
        ".",
    ]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (10, "ten"),
        (13, "thirteen"),
        (20, "twenty"),
        (21, "twenty one"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (101, "one hundred one"),
        (119, "one hundred nineteen"),
        (340, "three hundred forty"),
        (999, "nine hundred ninety nine"),
        (1000, "one thousand"),
        (20_015, "twenty thousand fifteen"),
        (999_999, "nine hundred ninety nine thousand nine hundred ninety nine"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert number_words(number) == words


def test_numbers_up_to_a_thousand_differ() -> None:
    assert len({number_words(number) for number in range(2000)}) == 2000


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_numbers_that_are_not_written_in_words(number: int) -> None:
    with pytest.raises(InputError, match=f"not {number}"):
        number_words(number)


# ----------------------------------------------------------------------------------------------------- lists of names


def test_the_caption_of_categories() -> None:
    caption, spans = category_caption(["person", "dog", "window"])
    assert caption == "There might exist a person, dog and window."
    assert spans == [(20, 26), (28, 31), (36, 42)]
    assert category_caption(["apple"])[0] == "There might exist an apple."
    assert category_caption(["apple", "trees"])[0] == "There might exist an apple and trees."


@pytest.mark.parametrize(
    ("phrase", "written"),
    [
        ("red ball", "a red ball"),
        ("umbrella", "an umbrella"),
        ("Elephant", "an Elephant"),
        ("hour glass", "an hour glass"),
        ("unicorn", "a unicorn"),
        ("European flag", "a European flag"),
        ("SUV", "an SUV"),
        ("TV", "a TV"),
        ("bus", "a bus"),
        ("glass", "a glass"),
        ("glasses", "glasses"),
        ("two dogs", "two dogs"),
        ("2 dogs", "2 dogs"),
        ("women", "women"),
        ("water", "water"),
        ("the sky", "the sky"),
        ("her hat", "her hat"),
        ("person on the stairs", "a person on the stairs"),
        ("pair of shoes", "a pair of shoes"),
        ("dogs near a door", "dogs near a door"),
        ("狗", "狗"),
        ("été", "été"),
        ("🐶", "🐶"),
    ],
)
def test_articles(phrase: str, written: str) -> None:
    caption, spans = phrase_caption([phrase])
    assert caption == f"This image depicts {written}."
    assert [caption[start:end] for start, end in spans] == [phrase]


def test_the_caption_of_phrases() -> None:
    caption, spans = phrase_caption(["red ball", "two  dogs", "the sky."])
    assert caption == "This image depicts a red ball, two dogs and the sky."
    assert [caption[start:end] for start, end in spans] == ["red ball", "two dogs", "the sky."]


def test_a_category_comes_once() -> None:
    assert category_caption(["red disc", "Red  disc", "bar", "red disc"])[0] == "There might exist a red disc and bar."


@given(names=names)
def test_any_name_is_quoted_with_its_space_tidied(names: list[str]) -> None:
    for write in (category_caption, phrase_caption):
        caption, spans = write(names)
        tidy = [" ".join(name.split()) for name in names]
        if write is category_caption:
            keys = [name.casefold() for name in tidy]
            tidy = [name for k, name in enumerate(tidy) if keys[k] not in keys[:k]]
        assert [caption[start:end] for start, end in spans] == tidy
        assert all(earlier[1] < later[0] for earlier, later in zip(spans, spans[1:]))


def test_invalid_lists_are_refused() -> None:
    with pytest.raises(InputError, match="at least one category"):
        category_caption([])
    with pytest.raises(InputError, match="at least one phrase"):
        phrase_caption("red ball")
    with pytest.raises(InputError, match="phrase number 2 is empty"):
        phrase_caption(["dog", " "])


def test_the_first_wording_of_a_question_is_that_of_table_3() -> None:
    assert {task: questions[0] for task, questions in WORDINGS.items()} == {"describe": DESCRIBE, "extract": EXTRACT}
    for questions in WORDINGS.values():
        assert len(set(questions)) == len(questions) >= 5
    assert describe(question="What is this?") == "What is this?"
    assert describe(["two dogs", "sky"], "What is this?") == "What is this, which shows two dogs and sky?"
    assert extract(" A dog. ", "Which nouns?") == "Which nouns? A dog."
