"""Thinking: told from the answer wherever the pieces break, by marks at the beginning alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcli.engine.thinking import HEADINGS, TAGS, WRAPPERS, Marks, ThinkingFilter

THINK = TAGS[0]


def run(pieces: list[str], **settings: object) -> tuple[str, str]:
    thinking = ThinkingFilter(**settings)  # type: ignore[arg-type]
    parts = [thinking.push(piece) for piece in pieces] + [thinking.flush()]
    thoughts, answers = zip(*parts, strict=True)
    return "".join(thoughts), "".join(answers)


def split(text: str, begun: Marks | None) -> tuple[str, str]:
    """The same of the whole text at once."""
    begin = "|".join(re.escape(mark.begin) for mark in ([begun] if begun else TAGS))
    opened = re.match(rf"\s*({begin})", text)
    if not opened and begun is None:
        return "", text
    ends = next(mark for mark in TAGS if not opened or mark.begin == opened[1]).ends
    rest = text[opened.end() :] if opened else text
    thought, *answers = re.split("|".join(map(re.escape, ends)), rest, maxsplit=1)
    answer = answers[0].lstrip() if answers else ""
    for wrapper, end in WRAPPERS.items():
        if answer.startswith(wrapper):
            answer = answer.removeprefix(wrapper).lstrip()
            if answer.rstrip().endswith(end):
                answer = answer.rstrip().removesuffix(end).rstrip()
    return thought.strip(), answer


pieces = st.lists(
    st.sampled_from(
        [
            *("<think>", "</think>", "<thi", "nk>", "</thi", "</", "<", ">", " ", "\n", "a", "é."),
            *("<thinking>", "</thinking>", "<response>", "</response>", "</resp", "onse>"),
        ]
    ),
    max_size=14,
)


@given(pieces, st.sampled_from([None, THINK]))
def test_the_pieces_do_not_matter(pieces: list[str], begun: Marks | None) -> None:
    text = "".join(pieces)
    whole = split(text, begun)
    assert run(pieces, begun=begun) == whole
    assert run(list(text), begun=begun) == whole
    assert run([text], begun=begun) == whole


@given(st.text(alphabet="ab <>/\n", max_size=30))
def test_a_text_without_a_mark_is_all_answer(text: str) -> None:
    assert run(list(text)) == ("", text)


@pytest.mark.parametrize("mark", TAGS, ids=lambda mark: mark.begin)
def test_every_tag(mark: Marks) -> None:
    for end in mark.ends:
        text = f"{mark.begin}\nLet me see.\n{end}\n\nHello <b>.\n"
        assert run(list(text)) == ("Let me see.", "Hello <b>.\n")


def test_headings_count_only_where_they_are_asked_for() -> None:
    text = "Here is my thought process: easy. Here is my response: Four."
    assert run(list(text)) == ("", text)
    assert run(list(text), marks=TAGS + HEADINGS) == ("easy.", "Four.")


def test_marks_within_an_answer_are_text() -> None:
    assert run(["The <think>", " tag"]) == ("", "The <think> tag")


def test_it_is_known_where_the_text_stands() -> None:
    thinking = ThinkingFilter()
    assert thinking.undecided
    seen = []
    for piece in ("<thi", "nk>", "a", "</think>", "\n", "b"):
        thinking.push(piece)
        seen.append(thinking.inside)
    assert seen == [True, True, True, False, False, False]
    assert thinking.thought_at_all and not thinking.undecided
    assert ThinkingFilter(begun=THINK).inside
    assert not ThinkingFilter().inside
