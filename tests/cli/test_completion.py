"""Tab at the prompt of a chat: commands, settings, values and files, and nothing in a question."""

from types import SimpleNamespace

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from llmcli.cli.completion import ChatCompleter
from llmcli.cli.sampling_settings import Setting
from llmcli.cli.slash import ALIASES, COMMANDS

TABLE = {
    "temperature": Setting(0.3, "flag"),
    "top_k": Setting(40, "model"),
    "top_p": Setting(1.0, "default"),
    "stop": Setting((), "default"),
}


@pytest.fixture
def complete():
    settings = SimpleNamespace(table=lambda: TABLE)
    keeper = SimpleNamespace(store=SimpleNamespace(names=lambda: ["monday", "tuesday"]))
    completer = ChatCompleter(SimpleNamespace(settings=settings, keeper=keeper))

    def call(text):
        """What the line could become, and what is said about it."""
        found = completer.get_completions(Document(text), CompleteEvent())
        return {
            text[: len(text) + each.start_position] + each.text: each.display_meta_text
            for each in found
        }

    return call


def test_commands_come_with_their_help(complete):
    found = complete("/")
    assert {text.strip() for text in found} == {f"/{name}" for name in COMMANDS}
    assert found["/undo"] == COMMANDS["undo"].help
    assert set(complete("/cl")) == {"/clear"}
    assert set(complete("/set")) == {"/set "}
    for alias, name in ALIASES.items():
        assert complete(f"/{alias}") == {f"/{alias}": f"the same as /{name}"}


def test_a_question_is_left_alone(complete):
    assert complete("") == complete("set") == complete("//se") == complete("/se\n/se") == {}


def test_settings_and_their_values(complete):
    assert complete("/set top") == {"/set top_k ": "40 (model)", "/set top_p ": "1.0 (default)"}
    assert complete("/set top-k") == {"/set top_k ": "40 (model)"}
    values = complete("/set temperature ")
    assert values["/set temperature 0.3"] == "as it is now"
    assert {"/set temperature 0", "/set temperature default"} <= set(values)
    assert set(complete("/set stop ")) == {"/set stop default"}
    assert complete("/set nonsense ") == {}
    assert complete("/undo ") == {}


def test_schemas(complete, tmp_path, monkeypatch):
    assert set(complete("/json ")) == {"/json @", "/json off"}
    assert set(complete("/json o")) == {"/json off"}
    assert complete('/json {"type": ') == complete("/json off") == {}
    (tmp_path / "person.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert set(complete("/json @pers")) == {"/json @person.json"}


@pytest.mark.parametrize("before", ["/read ", "/export ", "/json @"])
def test_files(complete, tmp_path, before):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "news").mkdir()
    assert set(complete(f"{before}{tmp_path}/n")) == {
        f"{before}{tmp_path}/notes.txt",
        f"{before}{tmp_path}/news",
    }


@pytest.mark.parametrize("command", ["load", "save"])
def test_sessions(complete, command):
    assert set(complete(f"/{command} ")) == {f"/{command} monday", f"/{command} tuesday"}
    assert set(complete(f"/{command} mo")) == {f"/{command} monday"}
