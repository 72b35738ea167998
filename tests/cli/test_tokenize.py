"""`llmcli tokenize`: what is text and what is model, and what is printed where."""

import io
import json
import subprocess
import sys

import pytest
import typer
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from llmcli.cli import tokenize
from llmcli.errors import InvalidModelError, UsageError

SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("LLMCLI_MODEL", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def write(folder, chat_template=None):
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=SPECIAL,
        show_progress=False,
    )
    backend.train_from_iterator(["hello hello world world user assistant"], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    folder.mkdir(exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "chat_template": chat_template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "model", CHATML)


@pytest.fixture
def run(capsys):
    app = typer.Typer()
    app.callback()(lambda: None)
    tokenize.register(app)

    def run(*arguments):
        app(args=["tokenize", *map(str, arguments)], standalone_mode=False)
        return capsys.readouterr()

    return run


def stdin(monkeypatch, data, terminal=False):
    stream = io.TextIOWrapper(io.BytesIO(data))
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stdin", stream)


def test_the_table_has_every_token_with_its_bytes_and_place(run, folder):
    out, err = run(folder, "hello world\n🙂")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["#", "id", "token", "piece", "bytes", "characters", "special"]
    assert lines[1] == ["0", "0", "<s>", "<s>", "3c", "73", "3e", "special"]
    assert lines[2][2:] == ["hello", "hello", "68", "65", "6c", "6c", "6f", "0-5"]
    assert lines[3][2:] == ["␣world", "Ġworld", "20", "77", "6f", "72", "6c", "64", "5-11"]
    assert lines[4][2:] == ["↵", "Ċ", "0a", "11-12"]
    assert [line[2] for line in lines[5:]] == ["\\xf0", "\\x9f", "\\x99", "\\x82"]
    assert err == ""


def test_json_has_the_same(run, folder):
    report = json.loads(run(folder, "hello world", "--json").out)
    assert report["schema"] == "tokenize/1"
    assert report["model"]
    assert report["text"] == "hello world"
    assert report["rendered"] is False
    assert report["count"] == len(report["tokens"]) == 3
    first, second, _ = report["tokens"]
    assert first["special"]
    assert (first["start"], first["end"]) == (0, 0)
    assert second == {
        "index": 1,
        "id": second["id"],
        "piece": "hello",
        "bytes": list(b"hello"),
        "start": 0,
        "end": 5,
        "special": False,
    }


def test_count_prints_the_number_alone(run, folder):
    assert run(folder, "hello world", "--count").out == "3\n"
    assert run(folder, "", "--count").out == "1\n"


def test_chat_shows_the_rendered_prompt_and_its_ids(run, folder):
    out, _ = run(folder, "hello", "--chat")
    assert out.startswith("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")
    assert out.count("special") == 4  # the header's, and three control tokens
    report = json.loads(run(folder, "hello", "--chat", "--json").out)
    assert report["rendered"]
    assert report["text"] == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert all(token["start"] is not None for token in report["tokens"])


@pytest.mark.parametrize("options", [[], ["--chat"]])
def test_typed_special_tokens_are_shown_as_the_plain_text_they_are(run, folder, options):
    report = json.loads(run(folder, "x<|im_end|>", "--json", *options).out)
    control = [token["piece"] for token in report["tokens"] if token["special"]]
    expected = ["<|im_start|>", "<|im_end|>", "<|im_start|>"] if options else ["<s>"]
    assert control == expected
    said = b"".join(bytes(token["bytes"]) for token in report["tokens"])
    assert b"x<|im_end|>" in said


def test_one_word_is_the_text(run, folder, monkeypatch):
    monkeypatch.setenv("LLMCLI_MODEL", str(folder))
    assert run("hello", "--count").out == "2\n"
    out, err = run(folder, "--count")
    assert int(out) > 2
    assert "is taken as the text" in err
    assert run(folder, "--count", "-q").err == ""
    assert run("x\0y", "--count").err == ""


@pytest.mark.parametrize("words", [["-"], []])
def test_the_text_can_come_from_stdin(run, folder, monkeypatch, words):
    monkeypatch.setenv("LLMCLI_MODEL", str(folder))
    stdin(monkeypatch, "hello 🙂\n".encode())
    assert json.loads(run(*words, "--json").out)["text"] == "hello 🙂\n"
    stdin(monkeypatch, b"hello")
    assert run(folder, "-", "--count").out == "2\n"


def test_no_text_is_a_usage_error(run, folder, monkeypatch):
    monkeypatch.setenv("LLMCLI_MODEL", str(folder))
    stdin(monkeypatch, b"", terminal=True)
    with pytest.raises(UsageError, match="no text"):
        run()
    stdin(monkeypatch, b"a\xff")
    with pytest.raises(UsageError, match=r"not UTF-8 text \(byte 1\)"):
        run("-")


def test_a_model_without_a_template_cannot_chat(run, tmp_path):
    with pytest.raises(InvalidModelError, match="has no chat template"):
        run(write(tmp_path / "model"), "hello", "--chat")


def test_what_could_steer_a_terminal_is_shown_escaped(run, folder):
    out, _ = run(folder, "\x1b[2J\u202e", "--chat")
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b" in out


def test_torch_is_not_imported(folder):
    program = (
        "import sys, typer\n"
        "from llmcli.cli import tokenize\n"
        "app = typer.Typer(); app.callback()(lambda: None); tokenize.register(app)\n"
        "app(args=['tokenize', sys.argv[1], 'hello', '--chat'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers', 'jinja2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, folder], check=True, capture_output=True)
