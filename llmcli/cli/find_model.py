"""How a command gets its MODEL: resolved, and downloaded under a progress bar where it must be.

It knows how a download looks; what is downloaded is `checkpoint.store`'s business.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from llmcli.cli.interrupts import interruptible
from llmcli.cli.output import Output
from llmcli.cli.table import cell, size

if TYPE_CHECKING:
    from rich.console import Console

    from llmcli.checkpoint.hub import Progress
    from llmcli.checkpoint.store import Source


def find_model(
    model: str | None, output: Output, *, revision: str | None = None, offline: bool = False
) -> "Source":
    """The MODEL argument as a Source; notices and progress go to stderr. Raises as `resolve`."""
    from llmcli.checkpoint.store import resolve

    with download_progress(output) as progress:
        return resolve(
            model, revision=revision, offline=offline, progress=progress, notice=output.notice
        )


@contextmanager
def download_progress(output: Output) -> "Iterator[Progress | None]":
    """Bars on a terminal, a line for each file elsewhere, nothing with --quiet.

    Ctrl+C ends the block, also in a chat; however it ends, the terminal is left as it was.
    """
    shown = None if output.quiet else Shown(output)
    with interruptible():
        try:
            yield shown
        finally:
            if shown is not None:
                shown.stop()


class Shown:
    """A download, told as suits stderr. How that is, is asked when there is one to tell: mostly
    there is none, and Rich, which knows it, takes its time to import."""

    def __init__(self, output: Output) -> None:
        self._output = output

    @cached_property
    def _how(self) -> "Lines | Bars":
        console = self._output.console(stderr=True)
        if not console.is_terminal or console.is_dumb_terminal:
            return Lines(self._output)
        return Bars(self._output, console)

    def start(self, model: str, sizes: Mapping[str, int]) -> None:
        self._how.start(model, sizes)

    def at(self, name: str, n_bytes: int) -> None:
        self._how.at(name, n_bytes)

    def finish(self, name: str) -> None:
        self._how.finish(name)

    def note(self, text: str) -> None:
        self._how.note(text)

    def stop(self) -> None:
        if "_how" in vars(self):
            self._how.stop()


class Lines:
    """A download told in plain lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._sizes: Mapping[str, int] = {}

    def start(self, model: str, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._output.notice(f"{model}: {len(sizes)} files, {size(sum(sizes.values()))}")

    def at(self, name: str, n_bytes: int) -> None:
        pass

    def finish(self, name: str) -> None:
        self._output.notice(f"{cell(name)}: {size(self._sizes[name])}, whole")

    def note(self, text: str) -> None:
        self._output.notice(cell(text))

    def stop(self) -> None:
        pass


class Bars:
    """A download as two bars: the file that is under way, and all of them together."""

    def __init__(self, output: Output, console: "Console") -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._output = output
        self._bars = Progress(*columns, console=console, transient=True)
        self._done = 0
        self._sizes: Mapping[str, int] = {}

    def start(self, model: str, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._file = self._bars.add_task("", total=None)
        self._all = self._bars.add_task(cell(model), total=sum(sizes.values()))
        self._bars.start()

    def at(self, name: str, n_bytes: int) -> None:
        if not self._sizes:  # the index of a sharded model, fetched to learn what else there is
            return
        self._bars.update(
            self._file, description=cell(name), completed=n_bytes, total=self._sizes[name]
        )
        self._bars.update(self._all, completed=self._done + n_bytes)

    def finish(self, name: str) -> None:
        self.at(name, self._sizes[name])
        self._done += self._sizes[name]
        self._bars.reset(self._file, description="")

    def note(self, text: str) -> None:
        self._output.notice(cell(text))

    def stop(self) -> None:
        self._bars.stop()
