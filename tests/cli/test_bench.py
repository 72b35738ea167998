"""`llmcli bench` as it is typed: its forms, its options, its refusals."""

import csv
import io
import json
import re
import subprocess
import sys

import pytest
from tiny_models import write_tiny_llama

from llmcli.bench import kv_cache
from llmcli.cli.app import run
from llmcli.core import kernels

SHORT = ("-p", "6", "-n", "5", "-r", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "tiny"
    return str(write_tiny_llama(path, max_position_embeddings=128))


@pytest.fixture
def bench(folder, capsys):
    def call(*arguments, code=0):
        assert run(["bench", folder, *arguments]) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    return call


def test_without_options_both_arms_are_set_side_by_side(bench):
    report = json.loads(bench("--json", "-r", "1"))
    assert [(test["name"], test["cache"]) for test in report["tests"]] == [
        ("pp64", "on"),
        ("pp64", "off"),
        ("tg64 @ d64", "on"),
        ("tg64 @ d64", "off"),
        ("pp64+tg64", "on"),
        ("pp64+tg64", "off"),
    ]
    (comparison,) = report["comparison"]
    assert comparison["tokens_identical"] is True
    assert comparison["first_difference"] is None
    assert comparison["positions_computed"] == {"on": 127, "off": 6112}
    assert report["repetitions"] == 1
    assert report["machine"]["batch_size"] == 1
    assert report["machine"]["kernels"] == kernels.chosen()


def test_defaults_are_clipped_to_a_small_context(bench):
    report = json.loads(bench("--json", "-r", "1", "-c", "20"))
    assert report["tests"][-1]["name"] == "pp10+tg10"


def test_table(bench):
    text = bench(*SHORT)
    lines = text.splitlines()
    assert lines[0].split() == [
        "test",
        "cache",
        "t/s",
        "ms",
        "TTFT",
        "ms",
        "ITL",
        "p50",
        "ITL",
        "p95",
    ]
    assert [tuple(line.split()[:2]) for line in lines[1:3]] == [("pp6", "on"), ("pp6", "off")]
    assert re.search(r"^Both gave the same 5 tokens; largest logit difference \d", text, re.M)
    assert re.search(r"^With the cache: decode ", text, re.M)
    assert f"kernels: {kernels.chosen()}" in text
    assert "KV cache: 10 positions × 256 bytes = 2,560 used, 16,384 allocated." in text
    assert "random tokens, seed 0" in text and "2 timed after 1 warm-up" in text
    assert "\x1b" not in text


def test_a_planted_difference_is_told(bench, monkeypatch):
    class Planted(kv_cache.CachedArm):
        def run(self, ids):
            logits = super().run(ids).clone()
            if len(ids) == 1:
                logits[logits.argmin()] = logits.max() + 0.25
            return logits

    monkeypatch.setitem(kv_cache.ARMS, "on", Planted)
    text = bench(*SHORT)
    assert "They differ from token 2 of 5 on: id " in text
    assert "The two best logits lie 2.5e-01 apart there" in text
    assert "largest logit difference" in text
    assert "the same" not in text


def test_markdown(bench):
    lines = bench(*SHORT, "-o", "md").splitlines()
    assert lines[1] == "| :-- | :-- | --: | --: | --: | --: | --: |"
    assert all(line.count("|") == 8 for line in lines[:8])
    assert lines[8] == ""
    assert all(line.startswith("- ") for line in lines[9:])


def test_csv(bench):
    rows = list(csv.DictReader(io.StringIO(bench(*SHORT, "-o", "csv"))))
    assert len(rows) == 6
    assert rows[0]["name"] == "pp6" and rows[0]["cache"] == "on"
    assert rows[0]["itl_p50_ms"] == "" and float(rows[2]["itl_p50_ms"]) > 0
    assert rows[2]["kv_used_bytes"] == "2560" and rows[3]["kv_used_bytes"] == ""
    assert float(rows[0]["avg_ts"]) > 0
    assert rows[0]["kernels"] == kernels.chosen()
    assert None not in rows[0]


def test_json_lines(bench):
    lines = [json.loads(line) for line in bench(*SHORT, "-o", "jsonl").splitlines()]
    assert [line["type"] for line in lines] == ["test"] * 6 + ["comparison", "summary"]
    assert lines[-1]["schema"] == "bench/1"
    assert "machine" in lines[-1] and "tests" not in lines[-1]


def test_json_is_a_form(bench):
    one, other = (json.loads(bench(*SHORT, *form)) for form in (["--json"], ["-o", "json"]))
    assert one.keys() == other.keys()
    assert one["schema"] == "bench/1"


def test_lists_are_combined(bench):
    report = json.loads(bench("--json", "-p", "4-8*2", "-n", "2,3", "-r", "1", "--cache", "on"))
    names = [test["name"] for test in report["tests"] if "+" in test["name"]]
    assert names == ["pp4+tg2", "pp4+tg3", "pp8+tg2", "pp8+tg3"]
    assert report["comparison"] == []


def test_prompt_file(bench, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("Hello world, hello there. The cat sat on the mat.")
    report = json.loads(bench("--json", "-n", "2", "-r", "1", "--prompt-file", str(file)))
    whole = report["tests"][0]["n_prompt"]
    assert whole > 5
    assert report["prompt"] == str(file)
    error = bench("-p", str(whole + 1), "-n", "2", "--prompt-file", str(file), code=2)
    assert f"{whole} tokens, and {whole + 1} are needed" in error
    assert "No such file" in bench("--prompt-file", str(tmp_path / "no.txt"), code=2)


def test_explain_puts_this_runs_numbers_into_the_formulas(bench):
    text = bench("-p", "6", "-n", "5", "-d", "3", "-r", "1", "--explain")
    assert "p + (n - 1) = 6 + 4 = 10 positions" in text
    assert "n (d + p) + n (n - 1) / 2 = 5 × 9 + 5 × 4 / 2 = 55" in text
    assert "55 / 10 = 5.5 times the positions" in text
    assert "46 / 4 = 11.5 times the positions" in text
    assert "2 × 2 layers × 2 KV heads × 8 × 4 bytes = 256 bytes per token" in text
    assert "13 × 256 = 3,328 bytes" in text
    assert "KV cache: 13 positions × 256 bytes = 3,328 used" in text


def test_explain_fits_eighty_columns(bench):
    text = bench("-p", "100", "-n", "20", "-r", "1", "--explain", "-o", "md")
    block = text.split("```")[1]
    assert "n p + n (n - 1) / 2" in block
    assert max(map(len, block.splitlines())) <= 80


def test_definitions_need_no_model(capsys):
    assert run(["bench", "no-such-folder", "--define"]) == 0
    text = capsys.readouterr().out
    for term in ("tg64", "TTFT", "ITL", "warm-up", "not distinguishable", "(N - 1) / decode time"):
        assert term in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "100", "-n", "29"], "needs 129 tokens, and the context holds 128"),
        (["-p", "x"], "--n-prompt 'x'"),
        (["-d", "4-2"], "--n-depth '4-2'"),
        (["-n", "0", "-p", "0"], "nothing to measure"),
        (["--cache", "maybe"], "--cache must be on, off or on,off"),
        (["--cache", "on,on"], "--cache must be"),
        (["--json", "-o", "csv"], "contradict"),
        (["--define", "--json"], "-o table or md"),
        (["--explain", "-o", "csv"], "-o table or md"),
        (["--explain", "--cache", "on"], "side by side"),
        (["-r", "0"], "--repetitions"),
        (["-o", "xml"], "--output"),
    ],
)
def test_refusals(bench, arguments, said):
    assert said in bench(*arguments, code=2)


def test_an_interrupt_ends_with_130(bench, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(kv_cache, "run", interrupt)
    assert bench(*SHORT, code=130) == ""


def test_usage_errors_do_not_wait_for_torch(folder):
    code = (
        "import sys, threading; from llmcli.cli.app import run; "
        "from llmcli.engine import torch_import; "
        "torch_import._load_libraries = threading.Event().wait; "  # it never ends
        f"code = run(['bench', {folder!r}, '-p', '4000']); "
        "sys.exit(10 + code if 'torch' in sys.modules else code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 2


def test_a_terminal_of_eighty_columns_is_enough(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = bench("-p", "100", "-n", "20", "-r", "2")
    table = text.split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "ITL p95" in table


def test_the_real_model(shared_data, capsys):
    assert run(["bench", str(shared_data / "stories260K"), "-r", "1", "-n", "16", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (comparison,) = report["comparison"]
    assert comparison["tokens_identical"] and comparison["runs_identical"]
    assert comparison["max_abs_logit_diff"] < 1e-3
    assert report["model_n_params"] == 260_032
    held = report["tests"][-2]["kv_cache"]
    assert held["bytes_per_token"] == 2 * 5 * 4 * 8 * 4
    assert held["used_bytes"] == held["bytes_per_token"] * (64 + 16 - 1)


def test_a_context_beyond_the_models_is_refused_before_loading(monkeypatch, capsys):
    monkeypatch.setattr("llmcli.cli.loading.load", lambda *_: pytest.fail("it was loaded"))
    assert run(["bench", "demo", "--ctx-size", "99999", "-n", "2000"]) == 2
    assert "--ctx-size 99,999 exceeds" in capsys.readouterr().err
