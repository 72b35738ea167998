"""The options that say what an answer must look like, and what is told of its tokens.

It knows their spellings; what a grammar may say is `engine.grammar`'s.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcli.cli.given_text import read_file
from llmcli.cli.output import Output
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.engine.folder import CheckedFolder
    from llmcli.engine.grammar import Grammar, Kind

MOST_CANDIDATES = 100


def _option(name: str, *, help: str, metavar: str, **range_: int) -> Any:
    return typer.Option(
        name,
        help=help,
        metavar=metavar,
        show_default=False,
        rich_help_panel="Structured output",
        **range_,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class AnswerFlags:
    """The options as given; None where they were not."""

    json_schema: Annotated[
        str | None,
        _option("--json-schema", metavar="TEXT|@FILE", help="The answer is JSON that fits this."),
    ] = None
    regex: Annotated[
        str | None,
        _option("--regex", metavar="PATTERN", help="The whole answer matches this."),
    ] = None
    grammar: Annotated[
        str | None,
        _option("--grammar", metavar="TEXT|@FILE", help="It follows this: Lark, or GBNF."),
    ] = None
    logprobs: Annotated[
        int,
        _option(
            "--logprobs",
            metavar="K",
            min=0,
            max=MOST_CANDIDATES,
            help="Beside each token the K likeliest and their logprobs, before any setting.",
        ),
    ] = 0


def text_or_file(given: str) -> str:
    """What was given, or the text of the file that `@FILE` names. Raises UsageError."""
    return read_file(Path(given[1:]).expanduser()) if given.startswith("@") else given


def grammar_of(flags: AnswerFlags, checked: "CheckedFolder", output: Output) -> "Grammar | None":
    """What the answer must look like, held against the model's vocabulary.

    Raises UsageError, before the weights are read, for what cannot be followed.
    """
    given: dict[Kind, str | None] = {
        "json_schema": flags.json_schema,
        "regex": flags.regex,
        "grammar": flags.grammar,
    }
    kinds = [kind for kind, text in given.items() if text is not None]
    if len(kinds) > 1:
        first, second = (f"--{kind.replace('_', '-')}" for kind in kinds[:2])
        raise UsageError(f"{first} and {second} both say what the answer must look like")
    for kind in kinds:
        from llmcli.engine.grammar import Grammar

        text = given[kind] or ""
        grammar = Grammar.read(kind, text if kind == "regex" else text_or_file(text))
        grammar.check(checked.tokenizer, checked.description.config.vocab_size, checked.stop_ids)
        for warning in grammar.warnings:
            output.notice(f"warning: {warning}")
        return grammar
    return None
