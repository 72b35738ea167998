"""How an answer looks: thinking beside it, Markdown, colours, and none of it where nobody looks."""

import io
import json
import math
import re

import pytest

from llmcli.cli.looks import BANDS, LookFlags, Looks, band_style, show_legend
from llmcli.cli.output import Output
from llmcli.cli.streaming import stream
from llmcli.engine.generate import Step
from llmcli.errors import UsageError

# (text, whether it is thinking)
PARTS = [
    ("", True),
    ("Two and", True),
    (" two.", True),
    ("", True),
    ("**Four**", False),
    (".", False),
]


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Said:
    """A generation whose tokens are given; Ctrl+C comes after the last if `cut` says so."""

    constrained = None

    def __init__(self, parts=PARTS, *, cut=False, probabilities=()):
        self.parts, self.cut, self.probabilities = parts, cut, probabilities

    def __iter__(self):
        for index, (text, thinking) in enumerate(self.parts):
            chance = self.probabilities[index] if self.probabilities else 0.5
            yield Step(
                token=index,
                text="" if thinking else text,
                logprob=math.log(chance),
                index=index,
                finish=None,
                thought=text if thinking else "",
                thinking=thinking,
                entropy=-math.log2(chance),
            )
        if self.cut:
            raise KeyboardInterrupt

    def interrupt(self):
        return "?", "!"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def shown(said, looks=None, *, terminal=False, **settings):
    """What comes on stdout, and on stderr."""
    output = Output(stdout=Stream(terminal=terminal), stderr=Stream(terminal=terminal), **settings)
    stream(said, output, looks or Looks())
    return output.stdout.getvalue(), output.stderr.getvalue()


def unstyled(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_pipe_gets_the_answer_byte_for_byte_and_stderr_the_thinking():
    assert shown(Said()) == ("**Four**.\n", "Two and two.\n")
    assert shown(Said(), quiet=True) == ("**Four**.\n", "")
    raw = "\x1b[31m[b]\r\n"
    assert shown(Said([(raw, False)])) == (f"{raw}\n", "")


def test_a_terminal_dims_the_thinking():
    out, err = shown(Said(), Looks(markdown=True), terminal=True)
    assert err == "\x1b[2mTwo\x1b[0m \x1b[2mand\x1b[0m \x1b[2mtwo.\x1b[0m\n\n"
    assert out == "\x1b[1mFour\x1b[0m.\n"


def test_hidden_thinking_is_one_line():
    looks = Looks(hide_thinking=True)
    line = r"thought for \d+\.\d s, 4 tokens\n"
    assert re.fullmatch(line, shown(Said(), looks)[1])
    out, err = shown(Said(), looks, terminal=True)
    assert out == "**Four**.\n"
    while_thinking, _, at_last = err.partition("\r\x1b[2K")
    assert unstyled(while_thinking) == "thinking ..."
    assert re.fullmatch(line, unstyled(at_last))
    assert shown(Said(PARTS[:3]), looks)[0] == "\n"
    assert re.fullmatch(line.replace("4", "3"), shown(Said(PARTS[:3]), looks)[1])


def test_an_empty_thought_is_not_worth_a_line():
    parts = [("", True), ("", True), ("Four.", False)]
    for looks in (Looks(), Looks(hide_thinking=True)):
        assert shown(Said(parts), looks, terminal=True) == ("Four.\n", "")


def test_what_was_held_back_comes_with_ctrl_c():
    assert shown(Said(PARTS[:3], cut=True)) == ("!\n", "Two and two.?\n")
    assert shown(Said(PARTS, cut=True), Looks(markdown=True))[0].endswith("Four.!\n")


def test_json_lines_mark_thinking():
    out, err = shown(Said(), json=True)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["text"], line.get("thinking", False)) for line in lines] == PARTS
    assert err == ""


@pytest.mark.parametrize("looks", [Looks(), Looks(markdown=True), Looks(color_by="probability")])
def test_a_terminal_shows_control_characters_as_such(looks):
    said = Said([("a\x1b]52;c;eA==\x07 [red]\u202eb[/red]\x9b2J", False)])
    out, _ = shown(said, looks, terminal=True)
    assert unstyled(out) == r"a\x1b]52;c;eA==\x07 [red]\u202eb[/red]\x9b2J" + "\n"
    _, err = shown(Said([("t\x1b[2J", True)]), looks, terminal=True)
    assert r"t\x1b[2J" in err


def test_tokens_are_coloured_by_how_sure_the_model_was():
    parts = [(word, False) for word in ("sure ", "fairly ", "hardly ", "not")]
    said = Said(parts, probabilities=(0.95, 0.6, 0.2, 0.01))
    for by in ("probability", "entropy"):
        out, _ = shown(said, Looks(color_by=by), terminal=True)
        assert out == (
            "sure \x1b[38;5;28mfairly\x1b[0m \x1b[38;5;136mhardly\x1b[0m \x1b[38;5;160mnot\x1b[0m\n"
        )


def test_coloured_text_breaks_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    said = Said([(word, False) for word in ("one", " two", " th", "ree\n", "four")])
    out, _ = shown(said, Looks(color_by="probability"), terminal=True)
    assert unstyled(out) == "one two\nthree\nfour\n"


def test_without_colour_there_is_none(monkeypatch):
    said, looks = Said([("word", False)]), Looks(color_by="probability")
    assert shown(said, looks)[0] == "word\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(said, looks, terminal=True)[0] == "word\n"


def legend(looks, **settings):
    output = Output(stdout=Stream(terminal=True), stderr=Stream(terminal=True), **settings)
    show_legend(looks, output)
    return output.stderr.getvalue()


def test_the_legend_is_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for by, bands in BANDS.items():
        text = unstyled(legend(Looks(color_by=by)))
        assert text == f"{by}: " + " · ".join(band.label for band in bands) + "\n"
    assert legend(Looks()) == legend(Looks(color_by="entropy"), quiet=True) == ""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "--color-by changes nothing" in legend(Looks(color_by="entropy"))


def test_bands_cover_everything():
    assert band_style("probability", 0.0) == band_style("entropy", 17.0) != ""
    assert band_style("probability", 1.0) == band_style("entropy", 0.0) == ""


def decided(flags, *, terminal, **settings):
    return Looks.of(flags, Output(stdout=Stream(terminal=terminal), **settings)).markdown


def test_markdown_is_for_terminals(monkeypatch):
    assert decided(LookFlags(), terminal=True)
    assert not decided(LookFlags(), terminal=False)
    assert decided(LookFlags(markdown=True), terminal=False)
    assert not decided(LookFlags(markdown=False), terminal=True)
    assert not decided(LookFlags(color_by="entropy"), terminal=True)
    assert not decided(LookFlags(markdown=True), terminal=True, json=True)
    with pytest.raises(UsageError, match="exclude each other"):
        decided(LookFlags(markdown=True, color_by="entropy"), terminal=True)
    with monkeypatch.context() as patch:
        patch.setenv("NO_COLOR", "1")  # nothing is coloured that Markdown could disturb
        assert decided(LookFlags(color_by="entropy"), terminal=True)
    monkeypatch.setenv("TERM", "dumb")
    assert not decided(LookFlags(), terminal=True)
