"""Shared by the tests of commands: what is piped into one, and a chat within this process."""

import io
import sys
from functools import partial

import pytest
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.cli.output import Output
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.user_folders import sessions_folder
from llmcli.engine.folder import check_folder


@pytest.fixture
def stdin(monkeypatch, tmp_path):
    """Call it with bytes to pipe them in; until then nothing is."""
    opened = []

    def pipe(data: bytes):
        (tmp_path / "stdin").write_bytes(data)
        opened.append((tmp_path / "stdin").open())
        monkeypatch.setattr(sys, "stdin", opened[-1])

    pipe(b"")
    yield pipe
    for file in opened:
        file.close()


class Screen(io.StringIO):
    """Takes what is printed, as a terminal or as a file."""

    def __init__(self, *, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=6)


@pytest.fixture(scope="session")
def tiny_model(tiny_folder):
    from llmcli.engine.session import load

    return load(check_folder(Source("folder", "tiny", tiny_folder, None)))


@pytest.fixture
def start(tiny_model):
    """Begins a chat whose answers never end by themselves, with settings as flags give them."""
    from llmcli.cli.turns import Turns
    from llmcli.engine.conversation import Conversation

    def call(*, terminal=False, overflow="drop-oldest", **flags):
        flags = {"max_tokens": 12, "logit_bias": ["2=-100"], "seed": 1, **flags}
        settings = SamplingSettings(SamplingFlags(**flags), {}, {}, tiny_model.tokenizer, 320)
        output = Output(stdout=Screen(terminal=terminal), stderr=Screen(terminal=terminal))
        conversation = Conversation(tiny_model, system="Be brief.", on_overflow=overflow)
        return Turns(conversation, settings, output, show_timings=False)

    return call


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Where chats are kept, nothing yet."""
    from llmcli.engine.session_store import SessionStore

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return SessionStore(sessions_folder())


@pytest.fixture
def chat(tiny_model, store):
    """Begins a chat that is kept there."""
    from kept_chats import start_chat

    return partial(start_chat, tiny_model)


@pytest.fixture
def told():
    """What a chat has told beside its answers since the last call."""

    def call(turns):
        text = turns.output.stderr.getvalue()
        turns.output.stderr.seek(0)
        turns.output.stderr.truncate()
        return text

    return call
