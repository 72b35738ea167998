"""Profiles: a file's settings between variables and the config file; its prompts and examples."""

import json

import pytest
from tiny_models import write_tiny_llama

from llmcli.cli.app import run
from llmcli.cli.profile import Profile
from llmcli.errors import UsageError

WHOLE = """
model:
  name: {model}
  ctx-size: 400
sampling:
  temperature: 0.3
  top_p: 0.8
  top_k: 40
  min_p: 0.05
control:
  frequency_penalty: 0.1
  presence_penalty: -0.2
  stop_sequences: ["###", "END"]
  logit_bias: {{" the": 100, 5: -100}}
  seed: 7
  max_tokens: 3
system_prompt: Be brief.
system_prompts:
  coder: You write code.
  poet: You write verse.
style:
  tone: formal
  length: short
examples:
  - user: What is 1 + 1?
    assistant: "2"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=6)


@pytest.fixture
def profile(tmp_path, model):
    """Write a profile, by default a whole one; returns its name."""

    def write(text=WHOLE, name="tutor.yaml"):
        (tmp_path / name).write_text(text.format(model=model) if text is WHOLE else text)
        return str(tmp_path / name)

    return write


@pytest.fixture
def answered(capsys, stdin):
    """The summary of `chat -p`, or of another command."""

    def call(*arguments, command="chat"):
        assert run([command, *arguments, "-p", "Hello", "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return call


def test_all_of_it_reaches_the_model(answered, profile, model):
    summary = answered("--profile", profile())
    assert summary["model"] == str(model)
    assert summary["text"] == " the" * 3
    values, sources = summary["sampling"], summary["sampling_sources"]
    assert (values["temperature"], values["top_p"], values["top_k"]) == (0.3, 0.8, 40)
    assert (values["frequency_penalty"], values["presence_penalty"]) == (0.1, -0.2)
    assert values["stop"] == ["###", "END"]
    assert values["logit_bias"]["5"] == -100
    assert (values["seed"], values["max_tokens"]) == (7, 3)
    assert {sources[name] for name in ("temperature", "stop", "seed", "logit_bias")} == {
        "profile tutor"
    }
    assert sources["repetition_penalty"] == "default"


def test_flag_over_variable_over_profile(answered, profile, monkeypatch):
    monkeypatch.setenv("LLMCLI_TOP_P", "0.5")
    monkeypatch.setenv("LLMCLI_TOP_K", "5")
    summary = answered("--profile", profile(), "--top-p", "0.9")
    values, sources = summary["sampling"], summary["sampling_sources"]
    assert (values["top_p"], sources["top_p"]) == (0.9, "flag")
    assert (values["top_k"], sources["top_k"]) == (5, "variable")
    assert (values["min_p"], sources["min_p"]) == (0.05, "profile tutor")


def test_the_variable_names_one_too(answered, profile, monkeypatch):
    monkeypatch.setenv("LLMCLI_PROFILE", profile())
    assert answered()["sampling_sources"]["min_p"] == "profile tutor"


def test_generate_takes_it_as_well(answered, profile):
    summary = answered("--profile", profile(), command="generate")
    assert summary["sampling_sources"]["temperature"] == "profile tutor"
    raw = summary["prompt_tokens"]
    asked = answered("--profile", profile(), "--chat", command="generate")
    assert asked["prompt_tokens"] == answered("--profile", profile())["prompt_tokens"] > raw


def test_examples_and_prompts_stand_before_the_question(capsys, stdin, profile, monkeypatch):
    from llmcli.checkpoint.template import ChatTemplate

    seen = []
    render = ChatTemplate._render

    def watch(self, messages, *arguments):
        seen.append([(m["role"], m["content"].replace("\ufdd0", "")) for m in messages])
        return render(self, messages, *arguments)

    monkeypatch.setattr(ChatTemplate, "_render", watch)
    for prompt, text in (
        ((), "Be brief."),
        (("-s", "@poet"), "You write verse."),
        (("-s", "@home by me"), "@home by me"),
    ):
        assert run(["chat", "--profile", profile(), "-p", "Hello", *prompt]) == 0
        assert [
            ("system", f"{text}\n\ntone: formal\nlength: short"),
            ("user", "What is 1 + 1?"),
            ("assistant", "2"),
            ("user", "Hello"),
        ] in seen


def test_a_name_that_no_prompt_has(capsys, stdin, profile, model):
    assert run(["chat", "--profile", profile(), "-p", "Hello", "-s", "@pete"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no prompt @pete; did you mean poet?\nhint: tutor has @coder, @poet\n"
    )
    assert run(["chat", str(model), "-p", "Hello", "-s", "@poet"]) == 2
    assert "hint: `system_prompts` of a --profile FILE gives" in capsys.readouterr().err


def test_style_is_a_text_lines_or_names():
    assert Profile(style="a").system_prompt(None) == "a"
    assert Profile(style="a").system_prompt("b") == "b\n\na"
    assert Profile().system_prompt("") is None
    with pytest.raises(UsageError):
        Profile().system_prompt("@x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("- a\n", "the file must be a group of settings, not a list"),
        ("smapling: {}\n", "smapling is unknown; did you mean sampling?"),
        (
            "sampling: {temprature: 1}\n",
            "sampling.temprature is unknown; did you mean temperature?",
        ),
        ("sampling: {max_tokens: 1, dtype: x}\n", "sampling.dtype is unknown"),
        ("control: {system: x}\n", "control.system is unknown"),
        ("model: {nmae: demo}\n", "model.nmae is unknown; did you mean name?"),
        ("model: [demo]\n", "model must be a group of settings, not a list"),
        ("sampling: {temperature: warm}\n", "sampling.temperature must be a number, not 'warm'"),
        ("sampling: {temperature: true}\n", "sampling.temperature must be a number, not true"),
        ("sampling: {top_k: 1.5}\n", "sampling.top_k must be a whole number, not '1.5'"),
        ("control: {stop: [[a]]}\n", "control.stop must be a text, not a list"),
        ("control: {stop: no}\n", "control.stop must be a text, not false"),
        ("control: {logit_bias: {a: [1]}}\n", "control.logit_bias: a must be a number, not a list"),
        ("control: {no_cache: 5}\n", "control.no_cache must be true or false, not '5'"),
        ("system_prompt: [a]\n", "system_prompt must be a text, not a list"),
        ("system_prompts: {a: {}}\n", "system_prompts.a must be a text, not a group of settings"),
        ("system_prompts: {5: a}\n", "system_prompts: the key '5' must be a text"),
        ("style: {tone: [a]}\n", "style.tone must be a text, not a list"),
        ("examples: {}\n", "examples must be a list, not a group of settings"),
        ("examples: [a]\n", "examples: number 1 must be a group of settings, not 'a'"),
        ("examples: [{user: a}]\n", "examples: number 1 must have user and assistant, and nothing"),
        ("examples: [{user: a, assistant: [b]}]\n", "examples: number 1: assistant must be a text"),
        ("a: [1\n", "not valid YAML: while parsing a flow sequence"),
        ("a: &x 1\nb: *x\n", "not valid YAML: aliases are not supported"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "not valid YAML: could not determine",
        ),
        ("a: \x07\n", "not valid YAML: unacceptable character"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "x" * 300_000, "larger than 262,144 bytes, the most it may be"),
    ],
)
def test_what_is_wrong_is_one_clear_line(capsys, stdin, profile, text, reason):
    name = profile(text)
    assert run(["chat", "demo", "-p", "Hello", "--profile", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {name}: {reason}")
    assert len(captured.err.splitlines()) == 1


def test_a_value_out_of_its_range_names_the_profile(capsys, stdin, profile):
    name = profile("sampling: {top_p: 1.5}\n")
    assert run(["chat", "demo", "-p", "Hello", "--profile", name]) == 2
    assert capsys.readouterr().err.startswith("error: profile tutor: Invalid value for '--top-p'")


def test_a_profile_that_is_not_there(capsys, stdin, tmp_path):
    assert run(["generate", "demo", "-p", "x", "--profile", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/none.yaml: there is no such profile\n"


def test_a_file_that_it_names_lies_beside_it(capsys, stdin, profile, model, tmp_path, monkeypatch):
    (tmp_path / "plain.jinja").write_text("{{ messages[-1].content }}")
    name = profile(f"model: {{name: {model}, chat_template_file: plain.jinja}}\n")
    monkeypatch.chdir("/")
    assert run(["chat", "--profile", name, "-p", "Hello", "-n", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["prompt_tokens"] == 1
