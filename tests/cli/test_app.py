"""The command line as a whole: what it says unasked, and which variables it hears."""

import subprocess
import sys

import pytest

from llmcli.cli.app import run

WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
from llmcli.cli.app import run
sys.exit(run(["chat", "demo", "-p", "What is a token?", "-n", "3"]))
"""


def test_an_answer_comes_without_a_word_on_stderr_where_numpy_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr == ""


def test_without_a_command_the_help_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    printed = capsys.readouterr()
    assert "Usage: llmcli" in printed.out
    assert printed.err == ""


def test_what_is_wrong_with_the_arguments_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["abacus"]) == 2
    assert capsys.readouterr().err.startswith("error: No such command 'abacus'.\nhint: ")


def test_variables_set_options_of_commands_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMCLI_VERSION", "1")
    monkeypatch.setenv("LLMCLI_COUNT", "1")
    assert run(["tokenize", "demo", "Hello"]) == 0
    assert capsys.readouterr().out.strip().isdecimal()


@pytest.mark.parametrize("arguments", [["--json"], []])
def test_data_on_a_terminal_cannot_steer_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["tokenize", "demo", "\x9b2J\u202e", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "\x9b" not in printed and "\u202e" not in printed
    assert "x9b" in printed or "c2 9b" in printed
