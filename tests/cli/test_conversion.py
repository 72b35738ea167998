"""What an option or argument becomes: as Typer has it, and without pydantic where that is not
needed."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from llmcli import __version__
from llmcli.cli.app import COMMANDS, run
from llmcli.cli.conversion import converted_where_needed

IMPORTED = """
import sys
from llmcli.cli.app import run
code = run(sys.argv[1:])
print(code, "pydantic" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["inspect", "demo", "--json", "--filter", "*norm*", "-q"], 0),
        (["inspect", "demo", "--json", "--layer", "1"], 0),
        (["models", "--json"], 0),
        (["tokenize", "demo", "Hello", "--json"], 0),
        (["--version"], 0),
        (["generate", "no/such/folder", "-f", __file__, "-n", "9", "--temp", "0.5"], 3),
        (["generate", "no/such/folder", "-p", "Hello", "--stop", "a", "--stop", "b"], 3),
    ],
)
def test_what_is_plain_needs_no_pydantic(arguments, code):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == f"{code} False"


def test_all_values_become_what_typer_makes_of_them(tmp_path):
    """Plain or not, given as a text or by a file of settings."""
    numbers = ["0", "7", "-7", "12", "007", "1e1", "1.5", "-0.25", "1E-3", ".5", "5.", "+3", " 4"]
    numbers += ["1_0", "0x1", "nan", "inf", "-inf", "", "many", "9" * 30, "1" + "0" * 15]
    files = [str(tmp_path), __file__, str(tmp_path / "missing"), ""]
    values = [*numbers, *files, 3, 3.0, 3.5, True, None, ["a", "b"], ["a"], [1], ()]

    def command(
        whole: Annotated[int, typer.Option(min=-7, max=7)] = 0,
        any_whole: int | None = None,
        share: Annotated[float, typer.Option(min=0, max=10)] = 0.0,
        clamped: Annotated[int, typer.Option(min=0, max=10, clamp=True)] = 0,
        text: str = "",
        texts: Annotated[list[str] | None, typer.Option()] = None,
        file: Path | None = None,
        flag: bool = False,
    ) -> None: ...

    def outcomes(prepare):
        app = typer.Typer(add_completion=False)
        app.command()(command)
        parsed = typer.main.get_command(app)
        with typer.Context(parsed) as context:
            for parameter in prepare(parsed.params):
                for value in values:
                    try:
                        made = parameter.process_value(context, value)
                    except (typer.BadParameter, TypeError, ValueError) as error:
                        made = str(error)
                    yield parameter.name, value, type(made), repr(made)

    assert list(outcomes(converted_where_needed)) == list(outcomes(list))


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


def test_the_version_starts_without_any():
    program = (
        "import sys; from llmcli.cli.app import run; code = run(sys.argv[1:]); "
        "print(code, *sys.modules)"
    )
    for more in ([], ["chat", "--nonsense"]):
        done = subprocess.run(
            [sys.executable, "-c", program, "--version", *more],
            capture_output=True,
            text=True,
            check=True,
        )
        version, loaded = done.stdout.splitlines()
        assert version == f"llmcli {__version__}"
        assert loaded.startswith("0 ")
        assert not {f"llmcli.cli.{name}" for name in COMMANDS} & set(loaded.split())


def test_the_help_lists_every_command(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in COMMANDS)
