"""`llmcli chat`: one turn from an option or a pipe, slash commands, nothing lost on a failure."""

import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.cli import chat as chat_command
from llmcli.cli import given_text, message_reader
from llmcli.cli.app import run
from llmcli.cli.output import Output
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.slash import answer
from llmcli.cli.turns import Turns
from llmcli.cli.user_folders import sessions_folder
from llmcli.core.model import Decoder
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.saved_session import SavedSession
from llmcli.engine.session import load
from llmcli.engine.session_store import SessionStore
from llmcli.errors import OutOfMemoryError, PromptError, UsageError

FOOTER = re.compile(
    r"prefill \d+ tok \(\d+ reused\) · [\d.,]+ ms · [\d.,]+ tok/s \| TTFT \d+\.\d{2,3} s \| "
    r"decode \d+ tok · [\d.,]+ tok/s · ITL p50 [\d.,]+ p95 [\d.,]+ ms \| "
    r"ctx \d+/\d+ \(\d+%\) · KV [\d.]+ KiB \| "
    r"system \d+ \+ history \d+ \+ message \d+ · room \d+\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=6)


@pytest.fixture(scope="module")
def model(folder):
    return load(check_folder(Source("folder", "tiny", folder, None)))


@pytest.fixture
def chat(folder, capsys, stdin):
    def call(*arguments, code=0):
        assert run(["chat", str(folder), *arguments]) == code
        return capsys.readouterr()

    return call


def summary(captured):
    return json.loads(captured.out.splitlines()[-1])


class Screen(io.StringIO):
    """Takes what is printed; may press Ctrl+C after so many pieces of text."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        super().__init__()
        self.left = interrupt_after

    def write(self, text: str) -> int:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KeyboardInterrupt
        return super().write(text)


@pytest.fixture
def turns(model):
    """A chat whose every answer is ` the` twelve times, until its settings change."""
    flags = SamplingFlags(max_tokens=12, logit_bias=[" the=100"], seed=1)
    settings = SamplingSettings(flags, {}, {}, model.tokenizer, 320)
    output = Output(stdout=Screen(), stderr=Screen())
    return Turns(Conversation(model), settings, output, show_timings=False)


def told(turns) -> str:
    """What was told beside the answers, since the last call."""
    text = turns.output.stderr.getvalue()
    turns.output.stderr = Screen()
    return text


def test_one_turn_prints_the_answer_and_nothing_else(chat, stdin):
    arguments = ("-n", "8", "--logit-bias", " the=100")
    from_option = chat("-p", "Hello", *arguments)
    assert (from_option.out, from_option.err) == (" the" * 8 + "\n", "")
    stdin(b"Hello\n")
    assert chat(*arguments) == from_option


def test_piped_text_follows_the_prompt_after_a_blank_line(chat, stdin):
    whole = summary(chat("-p", "Hello\n\nthere, world", "-n", "1", "--json"))
    stdin(b"there, world\n")
    joined = summary(chat("-p", "Hello", "-n", "1", "--json"))
    assert joined["prompt_tokens"] == whole["prompt_tokens"]


def test_json_lines(chat, folder):
    captured = chat("-p", "Hello", "-n", "5", "--seed", "1", "--json", "--logit-bias", "2=-100")
    *tokens, last = map(json.loads, captured.out.splitlines())
    assert (last["type"], last["schema"], last["model"]) == ("summary", "chat/1", str(folder))
    assert last["token_ids"] == [token["id"] for token in tokens]
    assert last["text"] == "".join(token["text"] for token in tokens)
    assert last["finish_reason"] == "length"
    assert captured.err == ""


def test_the_system_prompt_comes_from_text_or_file(chat, tmp_path):
    (tmp_path / "system").write_text("Be brief.\n")
    arguments = ("-p", "Hello", "-n", "1", "--json")
    counts = [
        summary(chat(*arguments, *more))["prompt_tokens"]
        for more in ((), ("-s", "Be brief."), ("--system-prompt-file", str(tmp_path / "system")))
    ]
    assert counts[0] < counts[1] == counts[2]
    both = ("-s", "a", "--system-prompt-file", str(tmp_path / "system"))
    assert "both give the system prompt" in chat(*arguments, *both, code=2).err
    missing = chat(*arguments, "--system-prompt-file", str(tmp_path / "none"), code=2)
    assert missing.err == f"error: {tmp_path / 'none'}: No such file or directory\n"


def test_a_text_without_end_is_refused(chat, monkeypatch):
    monkeypatch.setattr(given_text, "MOST_BYTES", 1024 * 1024)
    refused = chat("-p", "Hello", "--system-prompt-file", "/dev/zero", code=2)
    assert refused.err == "error: /dev/zero: longer than 1 MiB\n"
    with Path("/dev/zero").open() as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        assert chat(code=2).err == "error: stdin: longer than 1 MiB\n"


def test_the_footer(chat):
    arguments = ("-p", "Hello", "-n", "5", "--logit-bias", "2=-100")
    assert chat(*arguments).err == ""
    assert FOOTER.fullmatch(chat(*arguments, "--show-timings").err)
    assert chat(*arguments, "--show-timings", "--quiet").err == ""
    assert "· KV off | " in chat(*arguments, "--show-timings", "--no-cache").err


def test_a_cache_that_cannot_be_kept_is_told(chat, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    session = SavedSession(model="tiny", created="2026-01-31T12:00:00+01:00")
    SessionStore(sessions_folder()).write("work", session.to_bytes(), None)
    turn = ("-p", "Hello", "-n", "1", "--save-kv")
    told = "--save-kv keeps nothing with --no-cache\n"
    assert told in chat("--resume", "work", *turn, "--no-cache").err
    assert chat(*turn, "--no-history").err == told.replace("cache", "history")
    assert chat(*turn, "--no-cache").err == ""  # of one turn alone nothing is kept anyway


def test_the_model_may_come_from_the_environment(folder, capsys, stdin, monkeypatch):
    monkeypatch.setenv("LLMCLI_MODEL", str(folder))
    assert run(["chat", "-p", "Hello", "-n", "1", "--json"]) == 0
    assert summary(capsys.readouterr())["model"] == str(folder)


@pytest.mark.parametrize("arguments", [(), ("-p", ""), ("-p", " \n")])
def test_nothing_to_ask_is_an_error(chat, arguments):
    assert chat(*arguments, code=1).err == "error: there is nothing to ask: the prompt is empty\n"


def test_a_model_without_a_template_cannot_chat(tmp_path, capsys, stdin):
    folder = write_tiny_llama(tmp_path / "model", chat=False)
    assert run(["chat", str(folder), "-p", "Hello"]) == 4
    assert "the model has no chat template\nhint: complete a text" in capsys.readouterr().err


def test_an_answer_that_fills_the_context_says_so(chat):
    captured = chat("-p", "Hello", "-c", "30", "--logit-bias", " the=100")
    assert captured.err == "the answer was cut: the context of 30 tokens is full\n"
    assert set(captured.out.split()) == {"the"}


def test_a_later_turn_computes_only_what_is_new(turns):
    turns.take("Hello")
    first = turns.timings
    turns.take("What is a token?")
    assert first.cached_tokens == 0
    # All but the last token of the first answer had been fed to the model.
    assert turns.timings.cached_tokens == first.prompt_tokens + 11
    assert turns.timings.new_prompt_tokens < turns.timings.prompt_tokens


def test_ctrl_c_keeps_the_partial_answer(turns):
    turns.output.stdout = Screen(interrupt_after=5)
    assert turns.take("Hello") == "interrupted"
    said = turns.conversation.messages[-1]
    assert said["role"] == "assistant"
    assert re.fullmatch("( the){5,6}", said["content"])
    assert turns.output.stdout.getvalue() == " the" * 5 + "\n"
    assert turns.take("Go on") == "length"
    assert len(turns.conversation.messages) == 4


def test_ctrl_c_before_the_first_word_drops_the_question(turns, monkeypatch):
    from llmcli.engine import generate

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generate, "prefill", interrupted)
        turns.attached = ["A text that was read."]
        assert turns.take("Hello") == "interrupted"
    assert turns.conversation.messages == []
    assert turns.attached == ["A text that was read."]
    with pytest.raises(UsageError, match="there is no answer yet"):
        answer(turns, "/stats")
    assert "the conversation is as it was before" in told(turns)
    assert turns.take("Hello") == "length"


def test_a_question_too_long_leaves_the_conversation_as_it_was(turns):
    turns.take("Hello")
    before = [*turns.conversation.messages]
    with pytest.raises(PromptError):
        turns.take("word " * 600)
    assert turns.conversation.messages == before
    assert turns.take("Go on") == "length"


def test_memory_that_runs_out_costs_one_turn(turns, monkeypatch):
    turns.take("Hello")
    with monkeypatch.context() as patch, pytest.raises(OutOfMemoryError):
        patch.setattr(Decoder, "hidden", lambda *_: torch.empty(2**50))
        turns.take("More")
    assert [message["content"] for message in turns.conversation.messages] == ["Hello", " the" * 12]
    assert turns.take("Again") == "length"


def test_stats_tell_of_the_last_answer(turns):
    turns.take("Hello")
    turns.take("Again")
    answer(turns, "/stats")
    rows = dict(re.split("  +", line, maxsplit=1) for line in told(turns).splitlines()[1:])
    timings = turns.timings
    assert rows["prompt"] == (
        f"{timings.prompt_tokens} tokens: {timings.cached_tokens} reused, "
        f"{timings.new_prompt_tokens} computed"
    )
    assert rows["decode"].startswith("11 tokens after the first")
    assert rows["conversation"].startswith(f"{turns.context_used()} of 512 tokens")


def test_every_figure_of_an_answer_cut_short_may_be_missing(turns):
    turns.take("Hello")
    from llmcli.cli.timings_text import footer, timings_rows

    missing = dataclasses.replace(
        turns.timings, prefill_tps=None, ttft_ms=None, decode_tps=None, itl_ms=None
    )
    assert [group.split()[0] for group in footer(missing, 5, 512).groups] == ["prefill", "ctx"]
    names = [name for name, _ in timings_rows(missing, 5, 512)]
    assert "decode" not in names and "first token" not in names


def test_no_error_ends_a_conversation(folder, capsys, stdin, monkeypatch):
    said = ["", "/nonsense", "Hello", KeyboardInterrupt, "word " * 600, "Again", None]

    class Typist:
        def read(self):
            text = said.pop(0)
            if text is KeyboardInterrupt:
                raise KeyboardInterrupt
            return text

    monkeypatch.setattr(message_reader, "message_reader", lambda *_, **__: Typist())
    monkeypatch.setattr(chat_command, "stdin_is_terminal", lambda: True)
    assert run(["chat", str(folder), "-n", "2", "--logit-bias", " the=100"]) == 0
    captured = capsys.readouterr()
    assert captured.out == " the the\n" * 2
    assert captured.err.count("error: ") == 2
    assert said == []
