"""--think, --no-think, /think and /nothink: what the template is told, and what the user is."""

import json

import pytest
from scripted import THINKING_TEMPLATE
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.cli.app import run
from llmcli.cli.output import Output
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.slash import answer
from llmcli.cli.turns import Turns
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.session import load

NO_SWITCH = "the chat template has no switch for thinking"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    file = tmp_path_factory.mktemp("template") / "thinking.jinja"
    file.write_text(THINKING_TEMPLATE)
    return file


@pytest.fixture
def prompt_tokens(folder, template, capsys, stdin):
    def call(*arguments):
        given = ("--chat-template-file", str(template), "-p", "Hi", "-n", "1", "--json")
        assert run(["chat", str(folder), *given, *arguments]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return json.loads(captured.out.splitlines()[-1])["prompt_tokens"]

    return call


def test_the_options_reach_the_template(prompt_tokens):
    plain, think, no_think = (prompt_tokens(*o) for o in ((), ("--think",), ("--no-think",)))
    assert plain < think < no_think  # `<think>`, and `<think></think>`


@pytest.mark.parametrize("option", ["--think", "--no-think"])
def test_a_template_without_a_switch_says_so(folder, capsys, stdin, option):
    assert (
        run(["chat", str(folder), "-p", "Hi", "-n", "1", "--logit-bias", " the=100", option]) == 0
    )
    captured = capsys.readouterr()
    assert captured.out == " the\n"
    assert captured.err.startswith(f"{option} changes nothing: {NO_SWITCH}")


@pytest.mark.parametrize("file", [True, False])
def test_commands(folder, template, file, capsys):
    checked = check_folder(Source("folder", "tiny", folder, None), template if file else None)
    model = load(checked)
    settings = SamplingSettings(SamplingFlags(max_tokens=1), {}, {}, model.tokenizer, 320)
    turns = Turns(Conversation(model), settings, Output(), show_timings=False)
    for command, think in (("/nothink", False), ("/think", True)):
        answer(turns, command)
        told = capsys.readouterr().err
        assert (NO_SWITCH in " ".join(told.split())) is not file
        assert model.template.think is (think if file else None)


def test_generate_tells_thinking_from_the_answer_in_a_chat_alone(folder, tmp_path, capsys, stdin):
    (tmp_path / "opens.jinja").write_text("{{ messages[0].content }}<think>\n")
    bias = ("-p", "Hi", "-n", "3", "--logit-bias", " the=100")
    template = ("--chat", "--chat-template-file", str(tmp_path / "opens.jinja"))
    thought = "the the the\nall of it was thinking: there is no answer\n"
    for arguments, shown in (((), (" the the the\n", "")), (template, ("\n", thought))):
        assert run(["generate", str(folder), *bias, *arguments]) == 0
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == shown
