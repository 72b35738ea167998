"""Chats that are kept, without a terminal: every answer is ` the` twice."""

import io
from typing import Any, TextIO

from llmcli.cli.output import Output
from llmcli.cli.profile import Profile
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.session_keeper import SessionKeeper
from llmcli.cli.session_options import SessionFlags
from llmcli.cli.turns import Turns
from llmcli.engine.conversation import Conversation
from llmcli.engine.session import Model
from llmcli.engine.session_store import SessionStore

SAID = " the the"


def start_chat(
    model: Model,
    *,
    stdout: TextIO | None = None,
    system: str | None = None,
    profile: Profile | None = None,
    sampling: dict[str, Any] | None = None,
    no_history: bool = False,
    **flags: Any,
) -> Turns:
    """As `llmcli chat` starts one; `flags` are those of sessions."""
    assert model.template is not None
    model.template.examples = profile.examples if profile is not None else ()
    output = Output(stdout=stdout or io.StringIO(), stderr=io.StringIO())
    keeper = SessionKeeper.of(SessionFlags(**flags), output, keeps=not no_history)
    fixed = {"max_tokens": 2, "logit_bias": [" the=100"], "seed": 1}
    settings = SamplingSettings(
        SamplingFlags(**{**fixed, **(sampling or {})}),
        dict.fromkeys(fixed, "variable"),  # which no session keeps
        {},
        model.tokenizer,
        320,
    )
    conversation = Conversation(model)
    turns = Turns(
        conversation, settings, output, show_timings=False, keeper=keeper, profile=profile
    )
    saved = keeper.opened.system if keeper.opened is not None else None
    turns.resume(system or saved)
    return turns


def told(turns: Turns) -> str:
    """What was told beside the answers, since the last call."""
    assert isinstance(turns.output.stderr, io.StringIO)
    text = turns.output.stderr.getvalue()
    turns.output.stderr = io.StringIO()
    return text


def on_disk(store: SessionStore, name: str | None = None) -> list[str]:
    """What was said in a session, or in the only one."""
    (name,) = store.names() if name is None else (name,)
    return [kept.message["content"] for kept in store.read(name).session.messages]
