"""A page whose blocks are one sitting at a terminal: typed anew, and compared or written anew.

A `console` block is what was typed, with Enter, after `$ ` and `> `, and what the screen showed
then; a `text` block is the screen after the keys in the line above it. A block of another language
is a file, named at the end of the line above. Run as a program, this writes docs/chat_session.md.
"""

import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from screen import Shell
from terminal import CTRL_C, CTRL_D, ENTER, PASTE, PASTE_END

PAGE = Path(__file__).parents[1] / "docs" / "chat_session.md"
HOME = "/home/priya"  # on the page
QUIET_SECONDS = 10.0  # a screen that stays otherwise than on the page for so long is another one
BLOCK = re.compile(
    r"^## (?P<section>[^\n]+)|(?P<above>[^\n]*)\n\n```(?P<kind>\w+)\n(?P<block>.*?)```",
    re.DOTALL | re.MULTILINE,
)
# Text in backticks is typed; “this” is waited for.
KEY = re.compile(r"`(?P<text>[^`]+)`|<kbd>(?P<key>.+?)</kbd>|“(?P<seen>.+?)”")
PROMPTS = ("> ", "$ ")
KEYS = {"Enter": ENTER, "Tab": "\t", "Esc": "\x1b"}
# How many prompts come after a key that ends a line: an editor leaves to one, and what it left is
# sent.
ENDING = {ENTER: 1, CTRL_C: 1, CTRL_D: 1, "\x05": 2}
CUT = re.compile("“([^”]+)” <kbd>Ctrl.C</kbd>")
# Variables with which a person's programs would look or write elsewhere.
OWN = re.compile(r"(LLMCLI|HF|XDG|TTY|BASH|PROMPT|NO|FORCE)_|(COLORTERM|COLUMNS|LINES|VISUAL|ENV)$")
# What differs from run to run.
FLOATING = (
    (r"(?: \| |\n)(?=TTFT \d|decode \d|ctx \d|system \d)", "\n"),  # timings decide where it breaks
    (r"[\d,.]+ (ms|tok/s|s)\b", r"_ \1"),
    (r"(p\d\d|max) [\d,.]+", r"\1 _"),
    (r"(memory at most +)[\d,.]+ \w+", r"\1_"),
    (r"\d{4}-\d\d-\d\d(-\d{6}| \d\d:\d\d)", "_"),
    (r"(\.\d{3})\d+", r"\1"),  # the last bits of a logarithm
)


@dataclass
class Step:
    """One block. `typed` are its lines, or the line of keys above it; `block` what the page says,
    `shown` the screen, and `cells` the same rows with their colours. `raw` is all that came from
    the program. Where a key cut an answer, `cut`, it depends on the moment where."""

    section: str
    typed: list[str]
    block: str
    shown: str = ""
    cells: list = field(default_factory=list)
    raw: str = ""

    @property
    def cut(self):
        return CUT.search(self.typed[0])

    def same(self):
        return self.masked(self.shown) == self.masked(self.block)

    def masked(self, text):
        """`text` without what no two runs have in common."""
        for pattern, instead in FLOATING:
            text = re.sub(pattern, instead, text)
        return re.sub(r"[\d,.]+", "_", text) if self.cut else text


def drive(page, home, *, anew=False):
    """Type all that the page says, in the folder `home`; its steps as they went. `anew`: what it
    says of the screen does not count."""
    kept = {name: value for name, value in os.environ.items() if not OWN.match(name)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = Shell({**kept, "HOME": str(home), "PATH": path}, home)
    section, steps = "", []
    try:
        for found in BLOCK.finditer(page):
            block = found["block"]
            if block is None:
                section = found["section"]
            elif found["kind"] not in ("console", "text"):
                name = re.findall(r"`([^`]+)`", found["above"])[-1]
                (home / name).write_text(block, encoding="utf-8")
            else:
                typed = [line for line in block.split("\n") if line.startswith(PROMPTS)]
                keys = found["kind"] == "text"
                steps.append(Step(section, [found["above"]] if keys else typed, block.rstrip("\n")))
                take(shell, steps[-1], home, keys=keys, anew=anew)
    finally:
        shell.close()
    return steps


def take(shell, step, home, *, keys, anew):
    """Type what a step says, and see what is shown."""
    start, shell.raw = shell.row, ""
    if keys:
        stop = press(shell, step.typed[0], home)
    else:
        for line in step.typed:
            assert shell.shown.text(shell.row)[:1] == line[0], f"no prompt for {line}"
            shell.press(line[2:] + ENTER)
            shell.at_prompt()
        stop = shell.row

    def look():
        step.shown = shell.shown.text(start, stop).replace(str(home), HOME)
        if step.cut:
            until = rf"(?s)({re.escape(step.cut[1])}).*?\n(?=prefill)"
            step.shown = re.sub(until, r"\1 …\n", step.shown)
        return step.same() and not anew

    if stop is None:  # nothing tells when all of it is there
        shell.until(look, quiet=1.0 if anew else QUIET_SECONDS)
    look()
    step.cells, step.raw = shell.shown.rows(start, stop), shell.raw


def press(shell, line, home):
    """Press the keys that a line of the page names. Returns the row of the new prompt, if the last
    one leads to one."""
    parts = list(KEY.finditer(line))
    for part, before in zip(parts, [None, *parts], strict=False):
        if part["seen"]:
            assert shell.until(lambda seen=part["seen"]: seen in shell.shown.text(shell.row))
        elif part["text"] and before and before["key"] == "Paste":
            lines = (home / part["text"]).read_text(encoding="utf-8")
            shell.press(PASTE + lines.replace("\n", "\r") + PASTE_END)
        elif part["text"]:
            shell.type(part["text"])
        elif part["key"] != "Paste":
            name = part["key"]
            key = KEYS.get(name) or (chr(ord(name[-1]) & 31) if "Ctrl" in name else name)
            if part is parts[-1] and key in ENDING:
                shell.forget()
                shell.press(key)
                for _ in range(ENDING[key]):
                    shell.at_prompt()
                return shell.row
            shell.press(key)
    return None


def rewritten(page, steps):
    """The page with what the screen has shown."""
    left = iter(steps)

    def block(found):
        if found["kind"] not in ("console", "text"):
            return found[0]
        return f"{found['above']}\n\n```{found['kind']}\n{next(left).shown}\n```"

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(rewritten(text, drive(text, Path(folder), anew=True)), encoding="utf-8")
