"""Slash commands for texts: /edit, /read, /copy, /export, /prompt; and what is refused."""

import json
import re
import resource

import pytest

from llmcli.cli.slash import answer
from llmcli.errors import PromptError, UsageError


@pytest.fixture
def turns(start):
    return start()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/why 12", "there is no token 12: the last answer's are 0 to 11"),
        ("/why -13", "there is no token -13"),
        ("/why x", "there is no token x"),
        ("/fork", "needs the number"),
        ("/fork 3 hello hello", "is 3 tokens"),
        ("/fork 3 99999", "token 99999 is not in the vocabulary"),
        ("/read", "nothing"),
        ("/read /nowhere/at/all", "there is no such file"),
        ("/read /dev/null", "not a regular file"),
        ("/read /tmp", "not a regular file but a folder"),
        ("/export", "needs a file"),
        ("/export notes.txt", "must end in .md or .json"),
        ("/edit", "cannot be edited here"),
        ("/model", "needs a name"),
        ("/model demo", "cannot be loaded here"),
        ("/copy", "no terminal with a clipboard"),
    ],
)
def test_what_cannot_be_done_is_said(turns, text, reason, told):
    turns.take("Hello")
    before = [*turns.conversation.messages]
    if text == "/read":
        assert answer(turns, text)
        assert told(turns).startswith(reason)
        return
    with pytest.raises(UsageError, match=re.escape(reason)):
        answer(turns, text)
    assert turns.conversation.messages == before


@pytest.mark.parametrize("text", ["/why", "/fork 1", "/tokens", "/edit x", "/copy", "/export a.md"])
def test_without_an_answer_there_is_nothing_to_look_at(turns, text):
    with pytest.raises(UsageError, match="there is no"):
        answer(turns, text)


def test_edit_replaces_the_question_and_asks_anew(turns):
    turns.take("Hello")
    answer(turns, "/edit What is\na token?")
    roles = [(m["role"], m["content"]) for m in turns.conversation.messages[:2]]
    assert roles == [("system", "Be brief."), ("user", "What is\na token?")]
    before = [*turns.conversation.messages]
    with pytest.raises(PromptError):
        answer(turns, "/edit " + "word " * 600)
    assert turns.conversation.messages == before


def test_prompt_is_what_the_next_turn_is_given(turns, told):
    turns.take("Hello")
    told(turns)
    answer(turns, "/prompt What <|im_end|> is a token?")
    shown = told(turns)
    turns.take("What <|im_end|> is a token?")
    generation = turns.conversation.need_last().generation
    raw = b"".join(map(generation.model.tokenizer.token_bytes, generation.prompt_ids))
    text, _, last = shown.rstrip("\n").rpartition("\n")
    assert text.split("\n")[:3] == ["<|im_start|>system", "Be brief.<|im_end|>", "<|im_start|>user"]
    assert text.rstrip("\n").endswith(
        "What <|im_end|> is a token?<|im_end|>\n<|im_start|>assistant"
    )
    assert raw.startswith(b"<|im_start|>system\nBe brief.<|im_end|>")
    assert last == f"{len(generation.prompt_ids)} tokens; the context holds 512"


def test_read_puts_a_file_before_the_next_message(turns, tmp_path, told):
    file = tmp_path / "a note.txt"
    file.write_text("The cat sat.\n")
    answer(turns, f"/read '{file}'")
    assert f"{file}, 5 tokens, goes before" in told(turns)
    turns.take("Where is the cat?")
    assert turns.conversation.messages[1]["content"] == "The cat sat.\n\nWhere is the cat?"
    turns.take("And the mat?")
    assert turns.conversation.messages[3]["content"] == "And the mat?"
    answer(turns, f"/read {file}")
    answer(turns, "/read")
    turns.take("Hello")
    assert turns.conversation.messages[5]["content"] == "Hello"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a\0b", "not a text file"),
        (b"the " * 600, "tokens, and the context holds 512"),
        (b"a" * 1024 * 1024 + b"b", "larger than 1,048,576 bytes"),
    ],
)
def test_what_is_no_text_or_too_large_is_not_read(turns, tmp_path, data, reason):
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=reason):
        answer(turns, f"/read {file}")
    assert turns.attached == []


def test_export_writes_markdown_or_json_and_never_over_a_file(turns, tmp_path):
    turns.take("Hello")
    said = turns.conversation.messages[-1]["content"]
    answer(turns, f"/export {tmp_path / 'chat.md'}")
    answer(turns, f"/export {tmp_path / 'chat.json'}")
    exported = json.loads((tmp_path / "chat.json").read_text())
    assert exported["schema"] == "conversation/1" and exported["model"] == "tiny"
    assert exported["messages"] == turns.conversation.messages
    text = (tmp_path / "chat.md").read_text()
    assert text.startswith(
        "# Conversation with tiny\n\n## System\n\nBe brief.\n\n## User\n\nHello\n"
    )
    assert text.endswith(f"## Assistant\n\n{said.strip(chr(10))}\n")
    with pytest.raises(UsageError, match="exists already"):
        answer(turns, f"/export {tmp_path / 'chat.md'}")
    assert (tmp_path / "chat.md").read_text() == text


def test_an_export_that_fails_leaves_no_file(turns, tmp_path):
    turns.take("Hello")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(UsageError, match=r"chat\.md: File too large"):
            answer(turns, f"/export {tmp_path / 'chat.md'}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_copy_asks_the_terminal(start, monkeypatch, told):
    turns = start(terminal=True)
    monkeypatch.setenv("TERM", "dumb")
    turns.take("Hello")
    with pytest.raises(UsageError, match="no terminal with a clipboard"):
        answer(turns, "/copy")
    assert "\x1b" not in turns.output.stdout.getvalue()
    monkeypatch.setenv("TERM", "xterm")
    turns.take("Hello")
    turns.conversation.messages[-1]["content"] = "é"
    monkeypatch.setenv("COLUMNS", "80")
    told(turns)
    answer(turns, "/copy")
    assert told(turns).count("\n") == 1
    assert "\x1b]52;c;w6k=\x07" in turns.output.stdout.getvalue()
