"""`llmcli chat`: a conversation at the terminal, or one turn from an option or a pipe.

It knows the options and how a chat begins and ends; a turn is `cli.turns`, a key `message_reader`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmcli.cli.answer_options import AnswerFlags, grammar_of
from llmcli.cli.context_options import ContextFlags
from llmcli.cli.given_text import piped_text, read_file, stdin_is_terminal
from llmcli.cli.groups import CONFIG_FILE, FLAG, VARIABLE, sources, with_groups
from llmcli.cli.interrupts import exit_code, presses, uninterrupted
from llmcli.cli.loading import LoadFlags, find, load
from llmcli.cli.looks import LookFlags, Looks, show_legend
from llmcli.cli.message_reader import InputFlags
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
from llmcli.cli.profile import Profile, ProfileOption, profile_of
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.session_keeper import SessionKeeper
from llmcli.cli.session_options import SessionFlags
from llmcli.cli.timings_text import timings_wanted
from llmcli.cli.turns import Turns
from llmcli.engine.saved_session import SavedSession
from llmcli.errors import LlmcliError, PromptError, UsageError

if TYPE_CHECKING:
    from llmcli.engine.folder import CheckedFolder
    from llmcli.engine.session import Model as LoadedModel

Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        "-p",
        metavar="TEXT",
        show_default=False,
        help="One turn, then leave. What is piped in follows it after a blank line.",
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        "-s",
        metavar="TEXT|@NAME",
        show_default=False,
        help="The system prompt, or the name of one in the profile.",
    ),
]
SystemFile = Annotated[
    Path | None,
    typer.Option(
        "--system-prompt-file",
        metavar="FILE",
        show_default=False,
        help="The system prompt, from a file.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("chat", **COMMAND)(chat)


@with_groups
def chat(
    context: typer.Context,
    model: Model = None,
    prompt: Prompt = None,
    system: System = None,
    system_prompt_file: SystemFile = None,
    chat_template_file: ChatTemplateFile = None,
    no_cache: NoCache = False,
    show_timings: ShowTimings = None,
    profile: ProfileOption = None,
    *,
    place: LoadFlags,
    overflow: ContextFlags,
    sampling: SamplingFlags,
    look: LookFlags,
    typing: InputFlags,
    answer: AnswerFlags,
    sessions: SessionFlags,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Talk to a model. Answers appear as they are made; each turn computes only what is new.

    With `-p`, or with text piped in: one turn, then leave. `/help` in a chat lists its commands;
    Ctrl+C stops an answer and keeps what was said, Ctrl+D leaves. A conversation is kept as it
    goes, and `--continue` goes on with it.

    Examples:

    - `llmcli chat`
    - `llmcli chat demo -s 'Answer in one sentence.' --temperature 0.7 --seed 1`
    - `llmcli chat demo -p 'What is a token?'`
    - `git diff | llmcli chat demo -p 'Explain this change.'`
    - `llmcli chat demo -p 'Hello' --json`
    - `llmcli chat demo -p 'Name a city.' --json-schema '{"type": "string"}'`
    - `llmcli chat --continue`
    - `llmcli chat --profile tutor.yaml -s @strict`
    """
    output, given, chosen = Output(json=json, quiet=quiet), sources(context), profile_of(context)
    looks = Looks.of(look, output)
    keeper = SessionKeeper.of(sessions, output, keeps=not typing.no_history)
    saved = keeper.opened or SavedSession()
    system = _system_prompt(system, system_prompt_file, given, chosen, saved)
    if saved.model is not None and given.get("model") in (None, VARIABLE, CONFIG_FILE):
        model = saved.model
    examples = chosen.examples or saved.examples
    checked = find(model, place, output, template_file=chat_template_file, examples=examples)
    if look.think is not None:
        _let_think(checked, look.think, output)
    question = _question(prompt)
    keeper.keeps &= question is None or keeper.opened is not None  # one turn alone is no chat
    if sessions.save_kv and ((keeper.keeps and no_cache) or typing.no_history):
        reason = "--no-history" if typing.no_history else "--no-cache"
        output.notice(f"--save-kv keeps nothing with {reason}")
    settings = SamplingSettings.of(sampling, given, checked)
    _check(checked, place, system, question)
    if (grammar := grammar_of(answer, checked, output)) is not None:
        settings.hold_to(grammar, given[grammar.kind])

    def other(name: str, old: SamplingSettings) -> "tuple[LoadedModel, SamplingSettings]":
        flags = replace(place, revision=None)
        found = find(name, flags, output)
        left_out: list[str] = []
        settings = old.with_model(found, left_out.append)
        model = load(found, flags, output)
        for line in left_out:
            output.notice(line)
        return model, settings

    loaded = load(checked, place, output)

    from llmcli.engine.conversation import Conversation

    turns = Turns(
        Conversation(loaded, use_cache=not no_cache, on_overflow=overflow.on_overflow),
        settings,
        output,
        show_timings=timings_wanted(show_timings, output),
        looks=looks,
        load=other,
        keeper=keeper,
        profile=chosen,
    )
    turns.n_candidates = answer.logprobs
    del loaded  # /model may put another one in its place
    turns.resume(system)
    show_legend(looks, output)
    try:
        if question is None:
            _converse(turns, typing)
        elif turns.take(question) == "interrupted":
            raise typer.Exit(exit_code())
    finally:
        turns.leave()


def _system_prompt(
    text: str | None,
    file: Path | None,
    given: Mapping[str, str],
    profile: Profile,
    saved: SavedSession,
) -> str | None:
    """The one that is given nearest: by a flag, a variable, the profile, the session, the config
    file; the profile's style is part of it, and so of the session's."""
    found = {"profile": profile.system}
    if file is not None:
        found[given["system_prompt_file"]] = read_file(file).strip()
    if text is not None:
        if given["system"] in found:
            raise UsageError("--system and --system-prompt-file both give the system prompt")
        found[given["system"]] = text
    for source in (FLAG, VARIABLE, "profile"):
        if found.get(source) is not None:
            return profile.system_prompt(found[source])
    return saved.system if saved.messages else profile.system_prompt(found.get(CONFIG_FILE))


def _question(prompt: str | None) -> str | None:
    """What to ask in the one turn; None for a conversation at the terminal."""
    if prompt is None and stdin_is_terminal():
        return None
    piped = piped_text(waiting=prompt is None)
    question = "\n\n".join(text.strip("\n") for text in (prompt, piped) if text)
    if not question.strip():
        raise PromptError("there is nothing to ask: the prompt is empty")
    return question


def _let_think(checked: "CheckedFolder", think: bool, output: Output) -> None:
    from llmcli.cli.slash_thinking import no_switch

    if (refusal := no_switch(checked.template)) is not None:
        output.notice(f"{'--think' if think else '--no-think'} changes nothing: {refusal}")
    elif checked.template is not None:
        checked.template.think = think


def _check(
    checked: "CheckedFolder", place: LoadFlags, system: str | None, question: str | None
) -> None:
    """Raise what can be known before the weights are read: that takes its time."""
    from llmcli.engine.limits import check_prompt, context_size, need_template

    template = need_template(checked.name, checked.template)
    room = context_size(checked.description.config, place.ctx_size)
    messages = [{"role": "system", "content": system}] if system else []
    if question is not None:
        messages.append({"role": "user", "content": question})
        check_prompt(template.encode(messages), room)


def _converse(turns: Turns, typing: InputFlags) -> None:
    """Question and answer until Ctrl+D. No error ends it, and none loses a turn."""
    from llmcli.cli.message_reader import message_reader
    from llmcli.cli.slash import answer

    output = turns.output
    turns.introduce()
    output.notice("/help lists the commands; Ctrl+C stops an answer, Ctrl+D leaves.")
    turns.reader = reader = message_reader(turns, typing)
    with uninterrupted():
        while presses.exit_code is None:
            try:
                text = reader.read()
                presses.forget()
                if text is None or (text and not answer(turns, text)):
                    break
                turns.save()
            except LlmcliError as error:
                output.error(str(error), error.hint)
            except KeyboardInterrupt:
                continue
    if presses.exit_code is not None:
        raise typer.Exit(presses.exit_code)
