"""One sitting with the bundled model at a terminal, key by key: docs/chat_session.md, typed anew.

Each screen is compared with the page, and what it must show is asserted beside that.
"""

import base64
import difflib
import json
import math
import re
import tempfile
from pathlib import Path

import jsonschema
import pytest
from session_page import PAGE, PROMPTS, drive

from llmcli.cli.looks import BANDS, band_style
from llmcli.cli.slash import COMMANDS

FOOTER = re.compile(
    r"prefill (\d+) tok \((\d+) reused\)[^>]*?ctx \d+/(\d+) [^>]*?"
    r"system (\d+) \+ history (\d+) \+ message (\d+) · room (\d+)"
)
STORY = "> Tell me a short story about a fox."


class Sitting:
    """The steps as they went, and the folder that they left; `replies` are (what was typed, what
    the screen showed then)."""

    def __init__(self, folder):
        self.folder = folder
        self.steps = drive(PAGE.read_text(encoding="utf-8"), folder)
        self.replies = []
        for step in self.steps:
            if not step.typed[0].startswith(PROMPTS):
                self.replies.append((step.typed[0], step.shown))
                continue
            lines = "|".join(map(re.escape, step.typed))
            parts = re.split(rf"^({lines})$", step.shown, flags=re.MULTILINE)
            self.replies += zip(parts[1::2], map(str.strip, parts[2::2]), strict=True)

    def after(self, typed):
        """What was shown each time that this was typed."""
        return [shown for line, shown in self.replies if line == typed]

    def keys(self, *names):
        """The step in which these keys were pressed."""
        (step,) = [s for s in self.steps if all(f"{name}" in s.typed[0] for name in names)]
        return step

    def kept(self, name):
        """The messages of a session on the disk."""
        file = self.folder / ".local/share/llmcli/sessions" / f"{name}.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][1:]

    def last_kept(self):
        """The session that was written last."""
        files = (self.folder / ".local/share/llmcli/sessions").glob("*.jsonl")
        return self.kept(max(files, key=lambda file: file.stat().st_mtime_ns).stem)


@pytest.fixture(scope="module")
def sitting():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short name: it is shown
        yield Sitting(Path(folder))


def rows(table):
    """The rows of a table of two columns or more."""
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in table.split("\n") if "  " in line)


def words(text):
    return " ".join(text.split())


def test_every_screen_is_what_the_page_shows(sitting):
    for step in sitting.steps:
        page, screen = (step.masked(text).split("\n") for text in (step.block, step.shown))
        differs = "\n".join(difflib.unified_diff(page, screen, "page", "screen", lineterm=""))
        assert step.same(), f"{step.section}, {step.typed}:\n{differs}"
        assert all(len(line) <= 80 for line in screen)


def test_every_command_is_used(sitting):
    typed = {line.split()[1] for line, _ in sitting.replies if line.startswith("> /")}
    keys = {f"/{name}" for step in sitting.steps for name in re.findall(r"`/(\w+)", step.typed[0])}
    assert {f"/{name}" for name in COMMANDS} <= typed | keys
    listed = sitting.after("> /help")[0]
    assert all(f"\n/{name}" in listed for name in COMMANDS)


def test_the_lines_below_answers_account_for_every_token(sitting):
    n_answers = 0
    for typed, shown in sitting.replies:
        if (footer := FOOTER.search(shown)) is None:
            continue
        prompt, reused, context, system, history, message, room = map(int, footer.groups())
        given = int(typed.split()[2]) + 1 if typed.startswith("> /fork") else 0
        assert system + history + message + given == prompt
        assert room == context - (prompt - given)
        assert reused < prompt
        n_answers += 1
    assert n_answers > 20


def test_the_ledger_tells_a_hit_and_a_miss_with_its_reason(sitting):
    hit, miss, resumed = map(rows, sitting.after("> /stats"))
    for table in (hit, miss, resumed):
        counts = [int(table[name].split()[0]) for name in ("reused", "new")]
        assert f"{sum(counts)} tokens: {counts[0]} reused, {counts[1]} computed" == table["prompt"]
    assert hit["dropped"] == "0 tokens, 0 B"
    assert "why not more" not in hit
    assert hit["new"] == "15 tokens"  # the question, and what the template writes around it
    assert miss["why not more"] == "the system prompt changed"
    assert miss["at token 1"].startswith("the cache had “user")
    assert "97 of them are of earlier turns" in miss["new"]
    answer = sitting.after("> What is the capital of Japan?")[0]
    assert "97 earlier tokens were computed again: the system prompt changed" in answer


def test_commands_settings_and_past_messages_are_offered(sitting):
    menu = sitting.keys("`/s`")
    assert [line.split()[0] for line in menu.shown.split("\n")[1:]] == [
        "/system",
        "/set",
        "/stats",
        "/save",
    ]
    grey = [cell.data for cell in menu.cells[0] if cell.fg != "default"]
    assert "".join(grey) == "tats"
    assert "max_tokens   None (default)" in sitting.keys("`et m`").shown
    assert sitting.keys("Tab").shown == "> /set max_tokens 60\nmax_tokens 60 (/set)"
    found = sitting.keys("Ctrl+R").shown
    assert found.startswith("> The dog chased")
    assert found.endswith("I-search backward: dog")
    past = (sitting.folder / ".local/state/llmcli/history").read_text(encoding="utf-8")
    assert "+What is the opposite of big?\n" in past


def test_many_lines_are_one_message(sitting):
    pasted = sitting.keys("Paste")
    assert "prefill" not in pasted.shown  # it waits for Enter
    assert pasted.shown.count("\n") == 2
    questions = [m["content"] for m in sitting.kept("tour") if m["role"] == "user"]
    assert questions[4:7] == [
        "Hello!\nWho are you?",
        (sitting.folder / "lines.txt").read_text().strip(),
        "What is a token?",  # as the editor left it
    ]
    assert sitting.keys("Ctrl+X").shown.startswith("> What is a token?\nA token is")


def test_an_answer_is_taken_apart_and_taken_otherwise(sitting):
    first, again = sitting.after("> What is a KV cache?")[1], sitting.after("> /regen")[0]
    assert first.split("prefill")[0] == again.split("prefill")[0]
    forked = sitting.after("> /fork 0 -")[0].split("\n")
    assert forked[0].startswith("• KV cache stores")
    assert forked[1].startswith("  not computed")
    assert "(259 reused)" in forked[2]  # the prompt; only the new token is computed
    why = sitting.after("> /why 3")[0]
    assert re.search(r"^ 1 +␣stores .*← taken$", why, re.MULTILINE)
    assert sitting.keys("`/edit`").shown.startswith("> /edit\n> What is my name?\nYour name is Pri")
    pieces = [line.split()[2] for line in sitting.after("> /tokens")[0].split("\n")[1:-1]]
    assert "".join(pieces).replace("␣", " ") == "Your name is Priya.<|im_end|>"
    assert sitting.after("> /undo") == ["taken back: What is my name?"]


def test_files_go_in_and_out_and_a_form_is_kept(sitting):
    questions = [message["content"] for message in sitting.kept("tour")]
    assert "The cat slept because it was tired.\n\nWho was tired?" in questions
    (step,) = [step for step in sitting.steps if "> /copy" in step.typed]
    copied = re.search(r"\x1b\]52;c;([^\x07]+)\x07", step.raw)
    assert base64.b64decode(copied[1]) == b"The cat was tired."
    exported = (sitting.folder / "chat.md").read_text(encoding="utf-8")
    assert exported.count("## User") == 8
    assert "The cat was tired." in exported
    answer = sitting.after("> What is the capital of France?")[0].split("\n")[0]
    schema = json.loads((sitting.folder / "capital.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(answer), schema)
    assert json.loads(answer) == "Paris"


def test_a_chat_goes_on_without_computing_it_anew(sitting):
    assert "KV cache of 30 tokens kept" in sitting.after("> /save otto")[0]
    listed = sitting.after("$ llmcli sessions")[0].split("\n")[1:]
    assert [line.split()[0] for line in listed] == ["otto", "tour"]
    assert (
        "KV cache: 30 tokens need not be computed again"
        in sitting.after("$ llmcli chat --continue")[0]
    )
    _, otto, priya, nobody = sitting.after("> What is my name?")
    assert otto.startswith("Your name is Otto.\nprefill 45 tok (30 reused)")
    ledger = rows(sitting.after("> /stats")[2])
    assert ledger["reused"].startswith("30 tokens, 75.0 KiB")
    assert ledger["new"] == "15 tokens"
    assert priya.startswith("Your name is Priya.")
    assert nobody.startswith("You have not told me your name yet.")


def test_a_full_context_forgets_the_oldest_turns_and_says_so(sitting):
    told = words(sitting.after("> What is a logit?")[0])
    assert "forgetting the 2 oldest turns (45 tokens): “My name is Otto.”, “What is" in told
    nobody = sitting.after("> What is my name?")[3]
    assert nobody.startswith("You have not told me your name yet.")
    assert "prefill 102 tok (87 reused)" in nobody  # a turn more than had to go made room
    left = sitting.after("> /prompt")[0]
    assert left.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n")
    assert "Otto" not in left
    assert sitting.kept("otto")[1]["content"] == "My name is Otto."  # forgotten by the model alone


def test_a_profile_gives_settings_a_prompt_and_examples(sitting):
    sources = {name: rest.split("  ") for name, rest in rows(sitting.after("> /set")[0]).items()}
    sources = {name: (row[0], row[-1].strip()) for name, row in sources.items()}
    assert sources["temperature"] == ("0.0", "profile tutor")
    assert sources["top_k"] == ("40", "flag")
    assert sources["top_p"] == ("0.8", "/set")
    assert sources["repetition_penalty"] == ("1.05", "variable")
    assert sources["frequency_penalty"] == ("0.0", "default")
    prompt = sitting.after("> /prompt")[1]
    assert prompt.startswith("<|im_start|>system\nYou mark exams.<|im_end|>\n<|im_start|>user\n")
    assert prompt.index("opposite of hot?") < prompt.index("opposite of big?")
    assert sitting.keys("Esc").shown.startswith("> What is the opposite of big?\nThe opposite of")


def story_tokens(sitting):
    lines = (sitting.folder / "one.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:-1]], json.loads(lines[-1])


def test_each_token_has_the_colour_of_its_probability(sitting):
    (step,) = [step for step in sitting.steps if STORY in step.typed]
    start = step.shown.split("\n").index(STORY) + 1
    cells = [cell for row in step.cells[start:] for cell in row if cell.data.strip()]
    wanted = []
    for token in story_tokens(sitting)[0]:
        style = band_style("probability", math.exp(token["logprob"]))
        wanted += [(c, style) for c in token["text"] if c.strip()]
    colours = {"default": "", "008700": "color(28)", "af8700": "color(136)", "d70000": "color(160)"}
    assert {band.style for band in BANDS["probability"]} == set(colours.values())
    shown = [(cell.data, colours[cell.fg]) for cell in cells[: len(wanted)]]
    assert shown == wanted
    assert len({style for _, style in wanted}) > 2


def test_thinking_is_told_from_the_answer(sitting):
    assert "has no switch for thinking" in words(sitting.after("> /think")[0])
    (step,) = [step for step in sitting.steps if STORY in step.typed]
    assert re.search(r"\x1b\[2m[^\x1b]*token", step.raw)  # dim, however many words at a time
    thought = sitting.after("> What is a token?")[1]
    assert thought.startswith("A token is a small piece")
    assert "all of it was thinking: there is no answer" in thought
    (message,) = [m for m in sitting.last_kept() if "reasoning_content" in m]
    assert message["content"] == ""
    assert message["reasoning_content"].startswith("A token is a small piece")


def test_ctrl_c_keeps_what_was_said(sitting):
    rows = sitting.keys("“How can I”").cells[1:]
    lines = ["".join(cell.data for cell in row).rstrip() for row in rows]
    said = " ".join(lines[: next(n for n, line in enumerate(lines) if "prefill" in line)])
    assert words(said.replace("^C", "")) == words(sitting.last_kept()[-1]["content"])
    assert said.startswith("Hello! I am a tiny demo model. How can I")


def test_the_same_seed_tells_the_same_story_with_and_without_the_cache(sitting):
    tokens, one = story_tokens(sitting)
    two = json.loads((sitting.folder / "two.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert one["token_ids"] == two["token_ids"]
    assert two["prefix"] is None  # there was no cache
    assert one["sampling"]["seed"] == 7
    assert words(one["text"]) == words(sitting.after(STORY)[0].split("\nprefill")[0])
    for token in tokens:
        best = [other["logprob"] for other in token["top_logprobs"]]
        assert len(best) == 2 and best == sorted(best, reverse=True)
        assert token["logprob"] <= best[0]
