"""`llmcli bench`: generation with and without the KV cache, side by side.

It knows the options; the figures come from `bench.kv_cache`, their looks from `cli.bench_text`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llmcli.cli import bench_lessons, bench_text, loading
from llmcli.cli.given_text import read_file
from llmcli.cli.groups import with_groups
from llmcli.cli.loading import LoadFlags
from llmcli.cli.options import COMMAND, Debug, Json, Model, Quiet
from llmcli.cli.output import Output
from llmcli.errors import UsageError
from llmcli.reports import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcli.bench.report import BenchTest, Comparison, Report, Setting

Form = Literal["table", "md", "csv", "json", "jsonl"]

DEFAULT_LENGTH = 64

Prompts = Annotated[
    str | None,
    typer.Option(
        "--n-prompt",
        "-p",
        metavar="LIST",
        show_default="64, or the whole --prompt-file",
        help="Prompt tokens: 64, or 64,128, or 16-64*2, or 16-64+16.",
    ),
]
Generations = Annotated[
    str | None,
    typer.Option(
        "--n-gen", "-n", metavar="LIST", show_default="64", help="Tokens to generate, likewise."
    ),
]
Depths = Annotated[
    str,
    typer.Option(
        "--n-depth", "-d", metavar="LIST", help="Tokens already there before the clock runs."
    ),
]
Cache = Annotated[
    str, typer.Option("--cache", metavar="on,off", help="With the KV cache, without it, or both.")
]
Repetitions = Annotated[
    int,
    typer.Option(
        "--repetitions", "-r", metavar="N", min=1, help="Timed rounds, after one as warm-up."
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        "--prompt-file",
        metavar="FILE",
        show_default="random tokens",
        help="Take the prompt from the beginning of this text.",
    ),
]
FormOption = Annotated[
    Form | None,
    typer.Option(
        "--output",
        "-o",
        envvar="LLMCLI_OUTPUT",
        show_default="table",
        help="How to print it; jsonl prints each result as it comes.",
    ),
]
Define = Annotated[bool, typer.Option("--define", help="Say what every figure means, and leave.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Add the formulas, with this run's numbers in them.")
]


def register(app: typer.Typer) -> None:
    app.command("bench", **COMMAND)(bench)


@with_groups
def bench(
    flags: LoadFlags,
    model: Model = None,
    n_prompt: Prompts = None,
    n_gen: Generations = None,
    n_depth: Depths = "0",
    cache: Cache = "on,off",
    repetitions: Repetitions = 3,
    prompt_file: PromptFile = None,
    form: FormOption = None,
    define: Define = False,
    explain: Explain = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time generation with and without the KV cache, and prove that both give the same tokens.

    Both get the same prompt and take turns, so that whatever else the machine does meets both
    alike. Of several lengths, every combination is measured.

    Examples:

    - `llmcli bench demo`
    - `llmcli bench demo --explain`
    - `llmcli bench demo -p 16-128*2 -n 32 -o md`
    - `llmcli bench demo -d 128 --cache on --json`
    """
    from llmcli.bench.plan import parse_counts, plan
    from llmcli.bench.prompt import SEED, random_ids
    from llmcli.engine.limits import context_size

    output = Output(json=json, quiet=quiet)
    form, settings = _form(form, json), _settings(cache)
    if (define or explain) and form not in ("table", "md"):
        raise UsageError("--define and --explain are texts: they go with -o table or md")
    if define:
        output.line(bench_lessons.definitions())
        return

    checked = loading.find(model, flags, output)
    config = checked.description.config
    context = context_size(config, flags.ctx_size)
    ids, origin = [], f"random tokens, seed {SEED}"
    if prompt_file is not None:
        ids, origin = checked.tokenizer.encode_prompt(read_file(prompt_file)), str(prompt_file)
    default = min(DEFAULT_LENGTH, context // 2)
    cases = plan(
        parse_counts(n_prompt or str(len(ids) or default), "--n-prompt"),
        parse_counts(n_gen or str(default), "--n-gen"),
        parse_counts(n_depth, "--n-depth"),
        context,
    )
    if explain and (len(settings) < 2 or not all(case.n_gen for case in cases)):
        raise UsageError("--explain sets both arms' generation side by side: leave out neither")
    needed = max(case.n_start for case in cases)
    if prompt_file is None:
        ids = random_ids(checked.tokenizer, config.vocab_size, needed)
    elif needed > len(ids):
        raise UsageError(f"{prompt_file} has {len(ids):,} tokens, and {needed:,} are needed")

    ready = loading.load(checked, flags, output)
    from llmcli.bench.kv_cache import run  # torch: everything that can be wrong is known by now

    with _progress(output, len(cases) * (1 + repetitions), form) as progress:
        report = run(
            ready,
            cases,
            ids,
            settings,
            repetitions,
            prompt=origin,
            progress=progress,
            finished=_print_lines(output) if form == "jsonl" else None,
        )
    _show(report, form, output)
    if explain:
        text = bench_lessons.explanation(report, config)
        output.line("\n" + (f"```\n{text}\n```" if form == "md" else text))


def _form(form: Form | None, json: bool) -> Form:
    """`--json` is `-o json`."""
    if json and form not in (None, "json"):
        raise UsageError(f"--json and -o {form} contradict each other")
    return "json" if json else form or "table"


def _settings(text: str) -> "tuple[Setting, ...]":
    """`on`, `off`, or both, in any order."""
    asked = [part.strip() for part in text.split(",")]
    settings: tuple[Setting, ...] = tuple(name for name in ("on", "off") if name in asked)
    if len(asked) != len(settings):
        raise UsageError(f"--cache must be on, off or on,off, not {text!r}")
    return settings


@contextmanager
def _progress(output: Output, rounds: int, form: Form) -> "Iterator[Callable[[str], None]]":
    """A bar on stderr. It moves between rounds only: drawing would disturb what is timed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = output.console(stderr=True)
    hidden = output.quiet or not console.is_terminal or (form == "jsonl" and output.interactive)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=hidden,
    )
    with bar:
        task = bar.add_task("measuring", total=rounds)
        bar.refresh()

        def advance(name: str) -> None:
            bar.update(task, description=name, advance=1, refresh=True)

        yield advance


def _print_lines(output: Output) -> "Callable[[Sequence[BenchTest], Comparison | None], None]":
    """Prints a case's results as soon as it is measured."""

    def show(tests: "Sequence[BenchTest]", comparison: "Comparison | None") -> None:
        for test in tests:
            output.line(bench_text.json_line("test", test))
        if comparison is not None:
            output.line(bench_text.json_line("comparison", comparison))
        output.stdout.flush()

    return show


def _show(report: "Report", form: Form, output: Output) -> None:
    if form == "table":
        output.emit(report, bench_text.table)
    elif form == "md":
        output.line(bench_text.markdown(report))
    elif form == "csv":
        output.line(bench_text.comma_separated(report))
    elif form == "json":
        output.line(to_json(report))
    else:
        output.line(bench_text.summary_line(report))
