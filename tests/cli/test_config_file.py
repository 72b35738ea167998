"""config.toml: defaults for every command, below variables and profiles, above the model's own."""

import json

import pytest
from tiny_models import write_json, write_tiny_llama

from llmcli.cli.app import run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=6)
    write_json(folder / "generation_config.json", {"eos_token_id": 2, "top_k": 9, "top_p": 0.7})
    return folder


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write the config file; returns its name."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "llmcli" / "config.toml"
    file.parent.mkdir()

    def write(text):
        file.write_text(text)
        return str(file)

    return write


@pytest.fixture
def answered(capsys, stdin):
    def call(*arguments, command="generate"):
        assert run([command, *arguments, "-p", "Hello", "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return call


def test_each_source_in_its_place(answered, config, model, tmp_path, monkeypatch):
    config(
        f"""
        model = "{model}"
        temperature = 0.1
        top-k = 1
        min_p = 0.1
        repetition_penalty = 1.1
        max_tokens = 2
        logit_bias = {{" the" = 100}}
        [generate]
        stop = ["x", "y"]
        max_tokens = 3
        [chat]
        max_tokens = 4
        """
    )
    (tmp_path / "p.yaml").write_text("sampling: {min_p: 0.2, repetition_penalty: 1.2}\n")
    monkeypatch.setenv("LLMCLI_REPETITION_PENALTY", "1.3")
    summary = answered("--profile", str(tmp_path / "p.yaml"), "--temp", "0.5")
    values, sources = summary["sampling"], summary["sampling_sources"]
    shown = {name: (values[name], source) for name, source in sources.items()}
    assert shown["temperature"] == (0.5, "flag")
    assert shown["repetition_penalty"] == (1.3, "variable")
    assert shown["min_p"] == (0.2, "profile p")
    assert shown["top_k"] == (1, "config file")
    assert shown["stop"] == (["x", "y"], "config file")
    assert shown["max_tokens"] == (3, "config file")
    assert shown["top_p"] == (0.7, "model")
    assert shown["frequency_penalty"] == (0.0, "default")
    assert summary["text"] == " the" * 3
    assert answered(command="chat")["text"] == " the" * 4


def test_the_model_of_every_command(config, model, tmp_path, capsys, stdin, monkeypatch):
    other = write_tiny_llama(tmp_path / "other")
    config(f'model = "{model}"\n')
    for command in (["inspect"], ["tokenize", "Hello"], ["generate", "-p", "x", "-n", "1"]):
        assert run([*command, "--json"]) == 0
        assert json.loads(
            capsys.readouterr().out.splitlines()[-1]
            if command[0] == "generate"
            else capsys.readouterr().out
        )["model"] == str(model)
    monkeypatch.setenv("LLMCLI_MODEL", str(other))
    for command in (["inspect"], ["tokenize", "Hello"]):
        assert run([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == str(other)


def test_flags_that_are_no_values(config, model, capsys, stdin):
    config(f'model = "{model}"\nquiet = true\n[chat]\nshow-timings = true\njson = true\n')
    assert run(["chat", "-p", "Hello", "-n", "1"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["type"] == "summary"
    assert run(["chat", "-p", "Hello", "-n", "1", "--no-show-timings"]) == 0
    assert capsys.readouterr().err == ""


def test_a_profile_may_be_the_default_and_lies_beside_the_file(config, model, answered, tmp_path):
    config('profile = "../mine.yaml"\n')
    (tmp_path / "mine.yaml").write_text(f"model: {model}\ncontrol: {{max_tokens: 1}}\n")
    assert answered()["sampling_sources"]["max_tokens"] == "profile mine"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("temprature = 1\n", "temprature is unknown; did you mean temperature?"),
        ("[chta]\n", "chta is unknown; did you mean chat?"),
        ("[chat]\nrepetitions = 3\n", "chat.repetitions is unknown"),
        ("[chat]\nprompt = 'x'\n", "chat.prompt is unknown"),
        ("temperature = 'warm'\n", "temperature must be a number, not 'warm'"),
        ("json = 1\n", "json must be true or false, not '1'"),
        ("model = ['a']\n", "model must be a text, not a list"),
        ("temperature = 2026-01-01\n", "temperature must be a number, not '2026-01-01'"),
        ("temperature =\n", "not valid TOML: Invalid value"),
        ("a = " + "[" * 5000, "not valid TOML: "),
        ("# " + "x" * 300_000, "larger than 262,144 bytes"),
    ],
)
def test_a_broken_file_is_one_clear_line(config, capsys, text, reason):
    name = config(text)
    assert run(["models"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {name}: {reason}")
    assert len(captured.err.splitlines()) == 1


def test_a_value_out_of_its_range_names_the_file(config, capsys, stdin):
    config("top_p = 1.5\n")
    assert run(["generate", "demo", "-p", "x"]) == 2
    assert capsys.readouterr().err.startswith("error: config file: Invalid value for '--top-p'")
    assert run(["generate", "demo", "-p", "x", "--top-p", "0"]) == 2  # the flag's own error
    assert capsys.readouterr().err.startswith("error: top_p must be above 0")
