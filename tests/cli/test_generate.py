"""`llmcli generate` as it is typed: texts, streams, JSON Lines, refusals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import LLAMA, write_json, write_tiny_llama

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.cli.app import run

LLMCLI = [sys.executable, "-m", "llmcli"]
ENDLESS = ("--logit-bias", "2=-100")  # no end of text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=4)


@pytest.fixture
def generate(folder, capsys, stdin):
    def call(*arguments, model=folder, code=0):
        assert run(["generate", str(model), *arguments]) == code
        return capsys.readouterr()

    return call


def lines(captured):
    *tokens, summary = map(json.loads, captured.out.splitlines())
    return tokens, summary


@pytest.mark.parametrize("count", [200, 256])
def test_a_trained_model_tells_its_known_story(shared_data, generate, count):
    story = (shared_data / "stories260K" / f"greedy_{count}_tokens.txt").read_text()
    for name in ("stories260K", "stories260K-sharded"):
        arguments = ("-p", "", "--temperature", "0", "-n", str(count))
        captured = generate(*arguments, model=shared_data / name)
        assert captured.out == story + "\n"
        assert captured.err == ""


def test_the_same_seed_gives_the_same_text(generate):
    texts = [generate("-p", "Hello", "-n", "30", "--seed", str(seed)).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_no_cache_gives_the_same_text(generate):
    arguments = ("-p", "Hello there", "-n", "20", "--temperature", "0")
    assert generate(*arguments).out == generate(*arguments, "--no-cache").out


def test_json_lines_carry_the_same_answer(generate, folder):
    arguments = ("-p", "What is", "-n", "40", "--seed", "3", *ENDLESS)
    plain = generate(*arguments).out
    tokens, summary = lines(generate(*arguments, "--json"))
    assert [list(token) for token in tokens] == [["type", "id", "text", "logprob", "index"]] * 40
    assert {token["type"] for token in tokens} == {"token"}
    assert [token["index"] for token in tokens] == list(range(40))
    assert all(token["logprob"] <= 0 for token in tokens)
    ids = [token["id"] for token in tokens]
    assert "".join(token["text"] for token in tokens) == summary["text"] == plain[:-1]
    assert Tokenizer.load(folder).decode(ids) == summary["text"]
    assert (summary["type"], summary["schema"]) == ("summary", "generate/1")
    assert summary["token_ids"] == ids
    assert summary["finish_reason"] == "length"
    assert summary["model"] == str(folder)
    assert summary["prompt_tokens"] == len(Tokenizer.load(folder).encode("What is"))
    assert summary["cached_tokens"] == 0
    assert summary["timings"]["decode_tokens"] == 39
    assert summary["sampling"]["seed"] == 3


def test_the_text_is_taken_as_it_stands(generate, stdin, tmp_path):
    text = "  Hello\r\nthere, \u00e9 \n"
    counted = lines(generate("-p", text, "-n", "1", "--json"))[1]["prompt_tokens"]
    assert counted != lines(generate("-p", text.strip(), "-n", "1", "--json"))[1]["prompt_tokens"]
    (tmp_path / "text").write_bytes(text.encode())
    from_file = lines(generate("-f", str(tmp_path / "text"), "-n", "1", "--json"))[1]
    stdin(text.encode())
    piped = lines(generate("-n", "1", "--json"))[1]
    assert from_file["prompt_tokens"] == piped["prompt_tokens"] == counted


def test_the_prompt_option_does_not_wait_for_a_pipe(folder):
    with subprocess.Popen(
        [*LLMCLI, "generate", str(folder), "-p", "Hello", "-n", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.read().endswith(b"\n")  # its stdin is still open


def test_echo_prints_the_text_first(generate):
    arguments = ("-p", "The cat ", "-n", "5", "--temperature", "0")
    assert generate(*arguments, "--echo").out == "The cat " + generate(*arguments).out


def test_chat_applies_the_template(generate, folder):
    plain = lines(generate("-p", "Hello", "-n", "1", "--json"))[1]
    asked = lines(generate("-p", "Hello", "-n", "1", "--json", "--chat"))[1]
    frame = Tokenizer.load(folder).encode_rendered(
        "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert asked["prompt_tokens"] == plain["prompt_tokens"] + len(frame)


def test_a_stop_text_ends_the_answer_and_is_never_shown(generate):
    arguments = ("-p", "Hello", "-n", "40", "--seed", "5", *ENDLESS)
    tokens, _ = lines(generate(*arguments, "--json"))
    # From the middle of one token's text to the middle of another's.
    text = "".join(token["text"] for token in tokens)
    stop = text[10:14]
    whole = generate(*arguments).out
    cut = generate(*arguments, "--stop", stop, "--stop", "never to be said").out
    assert cut == whole[: whole.index(stop)] + "\n"
    tokens, summary = lines(generate(*arguments, "--stop", stop, "--json"))
    assert summary["finish_reason"] == "stop"
    assert "".join(token["text"] for token in tokens) == summary["text"] == cut[:-1]


def test_logit_bias_forbids_and_forces(generate):
    arguments = ("-p", "Hello", "--temperature", "0", "-n", "6", "--json")
    first = lines(generate(*arguments))[0][0]["id"]
    forbidden = lines(generate(*arguments, "--logit-bias", f"{first}=-100"))[1]
    assert first not in forbidden["token_ids"]
    forced = lines(generate(*arguments, "--logit-bias", " the=100"))[1]
    assert forced["text"] == " the" * 6


def test_piped_text_is_byte_exact_and_terminal_text_is_safe(generate, monkeypatch):
    arguments = ("-p", "Hello", "-n", "2", "--logit-bias", "\x1b=100")
    assert generate(*arguments).out == "\x1b\x1b\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert generate(*arguments, "--echo").out == "Hello\\x1b\\x1b\n"


def test_an_empty_text_begins_with_bos_where_there_is_one(generate, tmp_path):
    assert lines(generate("-p", "", "-n", "3", "--json"))[1]["prompt_tokens"] == 1
    without = write_tiny_llama(tmp_path / "model")
    write_json(without / "tokenizer_config.json", {})
    captured = generate("-p", "", model=without, code=1)
    assert captured.err.startswith(
        "error: the prompt is empty, and this model has no begin-of-text"
    )


def test_timings_are_shown_when_asked_for(generate):
    arguments = ("-p", "Hello", "-n", "3")
    assert generate(*arguments).err == ""
    assert "prefill 1 tok (0 reused)" in generate(*arguments, "--show-timings").err
    assert generate(*arguments, "--show-timings", "-q").err == ""


def test_nan_is_reported(generate, tmp_path):
    broken = write_tiny_llama(tmp_path / "model")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], torch.nan)
    save_file(weights, broken / "model.safetensors")
    captured = generate("-p", "Hello", model=broken, code=1)
    assert captured.err == "error: the model produced nan at token 0\n"


def test_tensors_that_are_not_used_are_one_warning(generate, tmp_path):
    odd = write_tiny_llama(tmp_path / "model")
    weights = load_file(odd / "model.safetensors")
    save_file(weights | {"x.a": torch.ones(2), "x.b": torch.ones(2)}, odd / "model.safetensors")
    captured = generate("-p", "Hello", "-n", "1", model=odd)
    assert captured.err == (
        f"warning: {odd}: x.a and 1 more are no part of this family, and not used\n"
    )
    assert generate("-p", "Hello", "-n", "1", "-q", model=odd).err == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-p", "a", "-f", "b"), "--prompt and --file both give the text"),
        (("-f", "no/such/file"), "no/such/file: No such file or directory"),
        (("-p", "a", "-c", "513"), "--ctx-size 513 exceeds the model's context of 512"),
        (("-p", "a", "--device", "abacus"), "--device must be auto, cpu, cuda or cuda:N"),
        (("-p", "a", "--dtype", "fp8"), "--dtype must be auto, fp32"),
    ],
)
def test_usage_errors(generate, arguments, reason):
    captured = generate(*arguments, code=2)
    assert captured.out == ""
    assert captured.err.startswith(f"error: {reason}")


def test_bytes_that_are_no_text_are_refused(generate, stdin):
    stdin(b"abc\xff")
    assert generate(code=2).err == "error: stdin: not UTF-8 text (byte 3)\n"


def test_at_a_terminal_a_text_must_be_given(generate, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert generate(code=2).err.startswith("error: there is no text to continue")


def damaged(folder: Path) -> dict[str, tuple[list[str], int]]:
    """Name -> arguments that must fail, and the exit code."""

    def model(name, **config):
        return write_tiny_llama(folder / name, **config)

    cases = {"good": model("good"), "none": folder / "none", "bare": folder / "bare"}
    cases["bare"].mkdir()
    for name in ("no weights", "cut", "no config", "family", "lacks", "shape", "settings"):
        cases[name] = model(name)
    (cases["no weights"] / "model.safetensors").unlink()
    (cases["no config"] / "config.json").unlink()
    cut = cases["cut"] / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])
    write_json(cases["family"] / "config.json", {**LLAMA, "model_type": "abacus"})
    write_json(cases["shape"] / "config.json", {**LLAMA, "intermediate_size": 64})
    write_json(cases["settings"] / "generation_config.json", {"temperature": "hot"})
    weights = load_file(cases["lacks"] / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, cases["lacks"] / "model.safetensors")
    codes = {"none": 3, "bare": 4, "no weights": 4, "cut": 4, "no config": 4, "family": 4}
    codes |= {"lacks": 4, "shape": 4, "settings": 4}
    failing = {name: ([str(cases[name]), "-p", "a"], code) for name, code in codes.items()}
    good = str(cases["good"])
    failing["too long"] = ([good, "-p", "word " * 400], 1)
    failing["too long for less"] = ([good, "-p", "one two three four", "-c", "4"], 1)
    failing["too much context"] = ([good, "-p", "a", "-c", "1000"], 2)
    return failing


def test_what_can_be_known_early_is_said_without_waiting_for_torch(tmp_path):
    cases = damaged(tmp_path)
    program = (
        "import json, sys, threading\n"
        "from llmcli.cli.app import run\n"
        "from llmcli.engine import torch_import\n"
        "torch_import._load_libraries = threading.Event().wait\n"  # it never ends
        "for arguments in json.loads(sys.argv[1]):\n"
        "    for command in ('generate', 'chat'):\n"
        "        print(run([command, *arguments, '--offline']), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([arguments for arguments, _ in cases.values()])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = [f"{code} False" for _, code in cases.values() for _ in range(2)]
    assert done.stdout.splitlines() == wanted
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(wanted)
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "cut" / "model.safetensors") in done.stderr
    assert "layers.1.mlp.up_proj" in done.stderr


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endless") / "model"
    return str(write_tiny_llama(folder, max_position_embeddings=100_000))


@pytest.mark.parametrize(("command", "schema"), [("generate", "generate/1"), ("chat", "chat/1")])
def test_ctrl_c_keeps_what_was_said(endless, command, schema):
    arguments = [command, endless, "-p", "Hello", "--json", *ENDLESS]
    with subprocess.Popen(
        [*LLMCLI, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = [json.loads(process.stdout.readline()) for _ in range(10)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    *tokens, summary = map(json.loads, rest.splitlines())
    assert process.returncode == 130
    assert errors == ""
    assert (summary["schema"], summary["finish_reason"]) == (schema, "interrupted")
    said = [token["id"] for token in [*seen, *tokens]]
    assert summary["token_ids"][: len(said)] == said
    assert summary["text"].startswith("".join(token["text"] for token in [*seen, *tokens]))


def test_a_reader_that_leaves_ends_it_quietly(endless):
    with subprocess.Popen(
        [*LLMCLI, "generate", endless, "-p", "Hello", "--json", *ENDLESS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert json.loads(process.stdout.readline())["type"] == "token"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_full_disk_is_one_line(folder):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LLMCLI, "generate", str(folder), "-p", "Hello", "-n", "3"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == f"error: [Errno 28] {os.strerror(28)}\n"


def test_closed_streams_are_no_failure(folder):
    command = " ".join([*LLMCLI, "generate", f"'{folder}'", "-p", "Hello", "-n", "2"])
    done = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"])
    assert done.returncode == 0
