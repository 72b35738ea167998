"""What an option or argument becomes: as Typer has it, and without pydantic where that is not
needed."""

import subprocess
import sys

import pytest

from llmcli.cli.app import COMMANDS, run

IMPORTED = """
import sys
from llmcli.cli.app import run
code = run(sys.argv[1:])
print(code, "pydantic" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "demo", "--json", "--filter", "*norm*", "-q"],
        ["models", "--json"],
        ["tokenize", "demo", "Hello", "--json"],
        ["--version"],
    ],
)
def test_text_flags_and_nothing_need_no_pydantic(arguments):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True
    )
    assert done.stderr == "0 False\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["inspect", "demo", "--layer", "many"], "'--layer'"),
        (["inspect", "demo", "--layer", "-1"], "'--layer'"),
        (["generate", "demo", "--quant", "int9"], "'--quant'"),
        (["generate", "demo", "--temperature", "hot"], "'--temperature'"),
        (["download"], "Missing argument 'MODEL'"),
    ],
)
def test_what_cannot_be_converted_is_still_told(arguments, told, capsys):
    assert run(arguments) == 2
    assert told in capsys.readouterr().err


def test_each_command_starts_without_the_others():
    program = (
        "import sys; from llmcli.cli.app import build; build(sys.argv[1:]); "
        "print(*sorted(m for m in sys.modules if m.startswith('llmcli.cli.')))"
    )
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-c", program, name], capture_output=True, text=True, check=True
        )
        loaded = {module.rpartition(".")[2] for module in done.stdout.split()}
        assert loaded & set(COMMANDS) == {name}


def test_the_help_lists_every_command(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in COMMANDS)
