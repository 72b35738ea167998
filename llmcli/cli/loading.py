"""MODEL -> a checked folder -> a loaded model, with a bar on stderr while that takes time.

It knows the options that say which model and where to run it, and nothing of prompts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmcli.cli.find_model import find_model
from llmcli.cli.interrupts import interruptible
from llmcli.cli.options import (
    ContextSize,
    Device,
    Dtype,
    Offline,
    QuantOption,
    Revision,
    Threads,
)
from llmcli.cli.output import Output
from llmcli.engine import torch_import

if TYPE_CHECKING:
    from llmcli.engine.folder import CheckedFolder
    from llmcli.engine.session import Model


@dataclass(frozen=True)
class LoadFlags:
    """The options as given."""

    device: Device = "auto"
    dtype: Dtype = "auto"
    quant: QuantOption = "none"
    threads: Threads = None
    ctx_size: ContextSize = None
    revision: Revision = None
    offline: Offline = False


def find(
    name: str | None,
    flags: LoadFlags,
    output: Output,
    *,
    template_file: Path | None = None,
    examples: Sequence[Mapping[str, str]] = (),
) -> "CheckedFolder":
    """The model's folder, downloaded if need be, and checked, while torch is being imported.

    `template_file` is a chat template to use instead of the folder's own; `examples` are messages
    that stand before every conversation.
    """
    from llmcli.engine.folder import check_folder

    source = find_model(name, output, revision=flags.revision, offline=flags.offline)
    torch_import.begin()  # it needs no answer from the checks, nor they from it
    checked = check_folder(source, template_file).rounded_to(flags.quant)
    if checked.template is not None:
        checked.template.examples = examples
    if checked.unclaimed:
        first, count = checked.unclaimed[0], len(checked.unclaimed)
        what = f"{first} is" if count == 1 else f"{first} and {count - 1} more are"
        output.notice(f"warning: {checked.name}: {what} no part of this family, and not used")
    return checked


def load(checked: "CheckedFolder", flags: LoadFlags, output: Output) -> "Model":
    """The model, ready to run."""
    n_bytes = sum(checked.headers[tensor.name].nbytes for tensor in checked.expected)
    with interruptible(), progress_bar(output, "loading the model", n_bytes) as progress:
        torch_import.wait()  # which takes its time: under the bar
        from llmcli.engine import session

        return session.load(
            checked,
            device=flags.device,
            dtype=flags.dtype,
            threads=flags.threads,
            context=flags.ctx_size,
            progress=progress,
        )


@contextmanager
def progress_bar(output: Output, doing: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, moved by what the block tells; hidden where nobody would see it."""
    if output.quiet or not output.stderr.isatty():
        yield lambda count: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = output.console(stderr=True)
    hidden = console.is_dumb_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda count: bar.advance(task, count)
