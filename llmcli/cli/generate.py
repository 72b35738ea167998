"""`llmcli generate`: a text continued as it stands.

It knows the options; how tokens are made is `engine.generate`'s.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmcli.cli.answer_options import AnswerFlags, grammar_of
from llmcli.cli.answer_text import need_complete, tell
from llmcli.cli.given_text import piped_text, read_file
from llmcli.cli.groups import sources, with_groups
from llmcli.cli.interrupts import exit_code
from llmcli.cli.loading import LoadFlags, find, load
from llmcli.cli.options import (
    COMMAND,
    ChatTemplateFile,
    Debug,
    Json,
    Model,
    NoCache,
    Quiet,
    ShowTimings,
)
from llmcli.cli.output import Output
from llmcli.cli.profile import ProfileOption, profile_of
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.streaming import GenerateSummary, stream, summarize
from llmcli.cli.timings_text import show_footer, timings_wanted
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.engine.folder import CheckedFolder

Prompt = Annotated[
    str | None,
    typer.Option("--prompt", "-p", metavar="TEXT", show_default=False, help="The text."),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        show_default=False,
        help="The text, from a file. Without -p and -f: what is piped in.",
    ),
]
Chat = Annotated[
    bool, typer.Option("--chat", help="Ask the text as a question, in the model's chat template.")
]
Echo = Annotated[bool, typer.Option("--echo", help="Print the text before what follows it.")]


def register(app: typer.Typer) -> None:
    app.command("generate", **COMMAND)(generate)


@with_groups
def generate(
    context: typer.Context,
    model: Model = None,
    prompt: Prompt = None,
    file: PromptFile = None,
    chat: Chat = False,
    echo: Echo = False,
    chat_template_file: ChatTemplateFile = None,
    no_cache: NoCache = False,
    show_timings: ShowTimings = None,
    profile: ProfileOption = None,
    *,
    place: LoadFlags,
    sampling: SamplingFlags,
    answer: AnswerFlags,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Continue a text as it stands, to the last space and line break.

    An empty text begins a new one, where the model has a token for that. With `--chat` the prompts
    and examples of a `--profile` stand before the text.

    Examples:

    - `llmcli generate demo -p 'Once upon a time' -n 50`
    - `llmcli generate demo -f story.txt --temperature 0.8 --seed 1`
    - `printf 'The capital of' | llmcli generate demo --temperature 0`
    - `llmcli generate demo --chat -p 'What is a token?' --json`
    """
    output = Output(json=json, quiet=quiet)
    text, chosen = _text(prompt, file), profile_of(context)
    checked = find(model, place, output, template_file=chat_template_file, examples=chosen.examples)
    settings = SamplingSettings.of(sampling, sources(context), checked)
    ids = _ids(checked, place, text, chat=chat, system=chosen.system_prompt(chosen.system))
    grammar = grammar_of(answer, checked, output)

    loaded = load(checked, place, output)

    from llmcli.engine.generate import Generation
    from llmcli.engine.thinking import thinking_filter

    template = loaded.template if chat else None
    generation = Generation(
        loaded,
        ids,
        settings.spec(),
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        use_cache=not no_cache,
        grammar=grammar,
        n_candidates=answer.logprobs,
        thinking=thinking_filter(template, loaded.tokenizer, ids) if template else None,
    )
    if echo and not json:
        output.text(text)
    stream(generation, output)
    if json:
        summarize(GenerateSummary, generation, settings, output)
    tell(generation, output)
    if timings_wanted(show_timings, output):
        used = len(ids) + len(generation.token_ids)
        show_footer(output, generation.timings(), used, loaded.context)
    need_complete(generation)
    if generation.finish_reason == "interrupted":
        raise typer.Exit(exit_code())


def _text(prompt: str | None, file: Path | None) -> str:
    if prompt is not None and file is not None:
        raise UsageError("--prompt and --file both give the text")
    if file is not None:
        return read_file(file)
    text = piped_text(waiting=True) if prompt is None else prompt
    if text is None:
        raise UsageError("there is no text to continue", hint="give -p TEXT or -f FILE, or pipe it")
    return text


def _ids(
    checked: "CheckedFolder", place: LoadFlags, text: str, *, chat: bool, system: str | None
) -> list[int]:
    """The prompt. Raises what can be known before the weights are read: that takes its time."""
    from llmcli.engine.limits import check_prompt, context_size, need_template

    room = context_size(checked.description.config, place.ctx_size)
    if chat:
        template = need_template(checked.name, checked.template)
        messages = [{"role": "system", "content": system}] if system else []
        ids = template.encode([*messages, {"role": "user", "content": text}])
    else:
        ids = checked.tokenizer.encode_prompt(text)
        bos = checked.tokenizer.bos_id
        if not ids and bos is not None:
            ids = [bos]
    check_prompt(ids, room)
    return ids
