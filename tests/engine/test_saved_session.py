"""Sessions as text: written and read back, and of a damaged one every whole turn."""

import json

import pytest

from llmcli.engine.saved_session import KeptMessage, SavedSession, parse_session
from llmcli.errors import LlmcliError

TURNS = [
    ("system", "Be brief."),
    ("user", "Hello\nthere \x1b[2J \u202e"),
    ("assistant", "Hi — «»"),
    ("user", "And?"),
    ("assistant", "So."),
]
SESSION = SavedSession(
    model="demo",
    created="2026-01-31T12:00:00+01:00",
    settings={"temperature": 0.5, "stop": ["x"], "logit_bias": {"5": -1.0}},
    examples=({"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}),
    messages=tuple(
        KeptMessage({"role": role, "content": text}, {"time": "now", "tokens": 3})
        for role, text in TURNS
    ),
)
DATA = SESSION.to_bytes()
HEAD, *MESSAGES = DATA.splitlines(keepends=True)


def said(session: SavedSession) -> list[str]:
    return [kept.message["content"] for kept in session.messages]


def line(**values: object) -> bytes:
    return json.dumps(values).encode() + b"\n"


USER, ANSWER = line(role="user", content="u"), line(role="assistant", content="a")


def test_what_is_written_is_read() -> None:
    assert parse_session(DATA) == (SESSION, None)
    assert len(DATA.splitlines()) == 6


def test_thoughts_and_facts_are_kept_apart() -> None:
    message = {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    session = SavedSession("m", "t", {}, (), (KeptMessage({"role": "user", "content": "u"}, {}),))
    session = SavedSession(
        "m", "t", {}, (), (*session.messages, KeptMessage(message, {"prompt_tokens": 9}))
    )
    assert parse_session(session.to_bytes()) == (session, None)


def test_a_question_without_an_answer_may_stand_at_the_end() -> None:
    session, damage = parse_session(HEAD + USER + ANSWER + line(role="user", content="last"))
    assert (said(session), damage) == (["u", "a", "last"], None)


def test_half_a_surrogate_pair_is_written_as_text_that_can_be_read() -> None:
    typed = KeptMessage({"role": "user", "content": "a\ud800b"}, {})
    session, damage = parse_session(SavedSession("m", "t", {}, (), (typed,)).to_bytes())
    assert (said(session), damage) == (["a?b"], None)


def test_a_file_cut_anywhere_keeps_its_whole_lines() -> None:
    ends = [len(HEAD + b"".join(MESSAGES[:n])) for n in range(6)]
    for length in range(1, len(DATA)):
        session, damage = parse_session(DATA[:length])
        n_whole = sum(length >= end - 1 for end in ends[1:])  # only the line break may lack
        assert said(session) == [text for _, text in TURNS[:n_whole]]
        if length in ends or length + 1 in ends:
            assert damage is None
        else:
            assert damage is not None
            assert damage.startswith(f"line {len(DATA[:length].splitlines())} is cut")


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"\0" * 50, "not valid JSON"),
        (b"\xff", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "not a JSON object"),
        (b'{"role": "user", "content": NaN}', "not valid JSON"),
        (b'{"role": "user", "content": 1}', "a text is expected"),
        (b'{"role": "tool", "content": "x"}', "its role is none of"),
        (b'{"role": ["user"], "content": "x"}', "its role is none of"),
        (b'{"role": "user"}', "it has no content"),
        (b'{"role": "user", "content": "\\ud800"}', "half a surrogate pair"),
        (b'{"role": "user", "content": "x", "tokens": true}', "its tokens is no whole number"),
        (b'{"role": "user", "content": "x", "time": 5}', "a text is expected"),
        (b'{"role": "user", "content": "x", "more": {}}', "a text is expected"),
    ],
)
def test_a_damaged_line_costs_its_turn_and_no_other(damaged: bytes, reason: str) -> None:
    session, damage = parse_session(HEAD + USER + damaged + b"\n" + b"".join(MESSAGES[3:]))
    assert said(session) == ["And?", "So."]
    assert session.model == "demo"
    assert damage is not None
    assert damage.startswith(f"line 3 is damaged ({reason}")


@pytest.mark.parametrize(
    "head",
    [
        b"x",
        line(role="user", content="not a head"),
        line(schema="session/1", model="demo"),
        line(schema="session/1", model="demo", created="t", settings=[], examples=[]),
        line(schema="session/1", model="demo", created="t", settings={}, examples=[5]),
        line(
            schema="session/1",
            model="demo",
            created="t",
            settings={},
            examples=[{"role": "user", "content": "alone"}],
        ),
    ],
)
def test_without_its_first_line_the_conversation_is_still_there(head: bytes) -> None:
    session, damage = parse_session(head.rstrip(b"\n") + b"\n" + USER + ANSWER)
    assert (said(session), session.model) == (["u", "a"], None)
    assert damage is not None
    assert damage.startswith("line 1 is damaged")


@pytest.mark.parametrize("lines", [ANSWER, USER + USER + ANSWER, USER + ANSWER + MESSAGES[0]])
def test_messages_out_of_order_are_damage(lines: bytes) -> None:
    session, damage = parse_session(HEAD + lines)
    assert said(session) in ([], ["u", "a"])
    assert damage is not None
    assert damage.endswith("is out of order")


def test_an_empty_file_is_damaged() -> None:
    assert parse_session(b"") == (SavedSession(), "the file is empty")


def test_a_newer_file_is_not_called_damaged() -> None:
    with pytest.raises(LlmcliError, match="a newer llmcli wrote it"):
        parse_session(line(schema="session/2") + USER + ANSWER)
