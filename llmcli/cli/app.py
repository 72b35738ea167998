"""The Typer app: its commands, and the one place where an exception becomes a line and a code.

It knows nothing of what the commands do; each registers itself from its own module.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from llmcli.cli.config_file import read_config
from llmcli.cli.conversion import converted_where_needed
from llmcli.cli.interrupts import ending_in_order, exit_code
from llmcli.cli.output import Output, set_up_streams
from llmcli.engine import torch_import
from llmcli.errors import LlmcliError, OutOfMemoryError

# In the order of the help; each is a module beside this one.
COMMANDS = (
    "chat",
    "sessions",
    "generate",
    "inspect",
    "bench",
    "quantize",
    "download",
    "models",
    "tokenize",
)
# Those that run a model, for which torch has to be there.
RUNNING = frozenset({"chat", "generate", "bench", "quantize"})


class Root(TyperGroup):
    """All commands together."""

    def get_params(self, ctx: Any) -> list[Any]:
        return converted_where_needed(super().get_params(ctx))


def build(arguments: list[str]) -> typer.Typer:
    """The app, with the one command that `arguments` begin with, with none for the version, else
    with all of them: for the help, for shells that complete a line, and for mistakes."""
    app = typer.Typer(
        name="llmcli",
        cls=Root,
        help="Talk to a local language model, see what is in its files, and measure it.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    needed = [name for name in COMMANDS if name in arguments[:1]]
    for name in needed if needed or arguments[:1] == ["--version"] else COMMANDS:
        import_module(f"llmcli.cli.{name}").register(app)
    return app


def every_command() -> TyperGroup:
    """All of them, for files that name the options of any."""
    group = typer.main.get_command(build([]))
    assert isinstance(group, TyperGroup)
    return group


def _version(asked: bool) -> None:
    if asked:
        from llmcli import __version__

        Output().line(f"llmcli {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Talk to a local language model, see what is in its files, and measure it."""
    context.default_map = {**read_config(every_command)}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave the process with its exit code (see `llmcli.errors`)."""
    set_up_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if RUNNING.intersection(arguments[:1]) and not {"-h", "--help"}.intersection(arguments):
            torch_import.prepare()
        code = run(arguments)
    except KeyboardInterrupt:  # before there was anything to interrupt
        code = exit_code()
    except Exception:  # noqa: BLE001 (unforeseen, or with --debug: shown as Python would)
        sys.excepthook(*sys.exc_info())
        code = 1
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process at once, see `torch_import.begin`. To tear the interpreter down takes half a
    second where torch is, and a tenth of a short command's time where it is not."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code, having said on stderr what went wrong."""
    debug = "--debug" in arguments or os.environ.get("LLMCLI_DEBUG", "0") not in ("", "0")
    output = Output()
    try:
        with ending_in_order():
            code = build(arguments)(args=arguments, prog_name="llmcli", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LlmcliError as error:
        if debug:
            raise
        output.error(str(error), error.hint)
        return error.exit_code
    except typer.TyperException as error:
        if message := error.format_message():  # none where the help itself is the answer
            output.error(message, "llmcli --help lists commands and options")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return exit_code()
    except (BrokenPipeError, SystemExit):  # Rich and Typer make SystemExit(1) of a broken pipe
        _silence_stdout()
        return 0
    except MemoryError:
        if debug:
            raise
        output.error("memory ran out")
        return OutOfMemoryError.exit_code
    except OSError as error:
        if debug:
            raise
        output.error(str(error))
        return 1


def _silence_stdout() -> None:
    """The reader went away (`| head`): nothing more may be written, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
