"""The README's commands run, and what it shows of them is what they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Timings differ from run to run; all else is compared to the letter.
UNREPEATABLE = ("bench",)


def shown_commands() -> list[tuple[str, str]]:
    """(command, output below it) of every console block."""
    shown = []
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            shown.append((command, output))
    return shown


LLMCLI = [(command, output) for command, output in shown_commands() if "llmcli" in command]
MAKE = [command for command, _ in shown_commands() if "make" in command.split()]


def test_the_readme_shows_what_a_newcomer_needs() -> None:
    assert MAKE == ["make chat", "make test"]
    subcommands = {shlex.split(command.split("|")[-1])[1] for command, _ in LLMCLI}
    assert subcommands >= {"chat", "generate", "inspect", "bench"}


@pytest.mark.parametrize("command", MAKE)
def test_make_targets_exist(command: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "output"), LLMCLI, ids=[command for command, _ in LLMCLI])
def test_commands_print_what_is_shown(command: str, output: str, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLMCLI_", "HF_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,  # not the repository: an installed command works anywhere
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if not any(word in command.split() for word in UNREPEATABLE):
        assert done.stdout.rstrip() == output.rstrip()
