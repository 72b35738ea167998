"""`llmcli inspect` as its users meet it: text, JSON, exit codes, and what it does not load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shapes import LLAMA3_8B, SMALL, SMOLLM2_135M, write_hollow, write_shape

from llmcli.cli.app import run


@pytest.fixture
def inspect(capsys):
    """Runs `llmcli inspect ...`; returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def llmcli(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmcli", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=60,
    )


def test_the_inventory_of_smollm2_135m(tmp_path, inspect):
    code, out, err = inspect(write_shape(tmp_path, SMOLLM2_135M))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for fact in (
        "llama",
        "134,515,008 parameters",
        "bf16",
        "256.6 MiB",
        "GQA, 9 query heads share 3 KV heads (3:1)",
        "context 8,192",
        "vocabulary 49,152",
        "tied head",
    ):
        assert fact in lines[0]
    rows = {line.split()[0]: line.split() for line in lines[2:] if line}
    assert rows["model.layers.0-29"][1] == "(×30)"
    assert rows["self_attn.q_proj.weight"][1:6] == ["576×576", "BF16", "W_Q", "9×64", "331,776"]
    assert rows["self_attn.k_proj.weight"][3:5] == ["W_K", "3×64"]
    assert rows["model.embed_tokens.weight"][1:5] == ["49152×576", "BF16", "W_E", "28,311,552"]
    assert rows["lm_head.weight"][1:5] == ["reuses", "W_E", "W_unembed", "0"]
    assert rows["272"][:2] == ["272", "tensors"]
    assert "22.5 KiB per token" in out
    assert len(lines) < 25


def test_a_pipe_gets_no_escapes_no_wrapping_and_no_trailing_blanks(tmp_path, inspect):
    name = "model.layers.0." + "long_" * 80 + "weight"
    folder = write_shape(tmp_path, SMALL, changed={name: ("F32", (3,))})
    _, out, _ = inspect(folder, "--full")
    assert "\x1b" not in out
    assert any(line.startswith(name) and line.endswith("12 B") for line in out.splitlines())
    assert not any(line != line.rstrip() for line in out.splitlines())


def test_full_lists_each_tensor_by_its_full_name(tmp_path, inspect):
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "--full")
    names = [line.split()[0] for line in out.splitlines() if line.startswith("model.")]
    assert len(names) == len(set(names)) == 272
    assert "model.layers.29.mlp.down_proj.weight" in names


def test_files_are_numbered_where_there_are_several(tmp_path, inspect):
    _, out, _ = inspect(write_shape(tmp_path, LLAMA3_8B, n_shards=4))
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["self_attn.q_proj.weight"][-1] == "1-4"
    assert rows["lm_head.weight"][-1] == "4"
    assert "files 1-4: model-00001-of-00004.safetensors ... model-00004-of-00004" in out


def test_layer_and_filter_select(tmp_path, inspect):
    folder = write_shape(tmp_path, SMALL)
    _, out, _ = inspect(folder, "--layer", 3)
    assert [line.split()[0] for line in out.splitlines() if line][2] == "model.layers.3"
    assert "9 of 47 tensors" in out
    assert "embed_tokens" not in out
    _, out, _ = inspect(folder, "--filter", "*.q_proj.*", "--json")
    report = json.loads(out)
    assert [tensor["concept"] for tensor in report["tensors"]] == ["W_Q"] * 5
    assert report["groups"][0]["count"] == 5
    assert report["totals"]["tensors"] == 47
    code, _, err = inspect(folder, "--layer", 5)
    assert code == 2
    assert "layers 0-4" in err


def test_a_differing_layer_is_marked(tmp_path, inspect):
    odd = {"model.layers.2.mlp.up_proj.weight": ("F32", (48, 32))}
    _, out, _ = inspect(write_shape(tmp_path, SMALL, changed=odd))
    marked = [line for line in out.splitlines() if line.startswith("≠ mlp.up_proj.weight")]
    assert [line.split()[3] for line in marked] == ["BF16", "F32", "BF16"]
    assert "model.layers.3-4 (×2)" in out


def test_params_of_llama_3_8b(tmp_path, inspect):
    code, out, _ = inspect(write_shape(tmp_path, LLAMA3_8B), "--params")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[2:] if line}
    assert "525,336,576" in rows["embeddings"]
    assert "32 × (2·4096·4096 + 2·1024·4096)  1,342,177,280  16.7%" in rows["attention"]
    assert "5,637,144,576  70.2%" in rows["mlp"]
    assert "266,240" in rows["norms"]
    assert "525,336,576" in rows["lm_head"]
    assert "= 8,030,261,248 in the headers" in rows["sum"]
    assert rows["sum"].count("8,030,261,248") == 2
    assert "6,979,588,096" in rows["non-embedding"]
    assert "W_E and W_unembed" in rows["Why"]


def test_params_say_why_the_counts_of_a_tied_model_differ(tmp_path, inspect):
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "--params")
    assert "106,203,456" in out
    assert "the head is tied: it reuses W_E and stores nothing" in out


def test_params_take_no_selection(tmp_path, inspect):
    folder = write_shape(tmp_path, SMALL)
    for option in (["--layer", "1"], ["--filter", "*"], ["--full"]):
        assert inspect(folder, "--params", *option)[0] == 2


def test_json_has_the_keys_that_others_rely_on(tmp_path, inspect):
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "--json")
    report = json.loads(out)
    assert report["schema"] == next(iter(report.values())) == "inspect/1"
    assert (report["family"], report["dtype"], report["tied"]) == ("llama", "bf16", True)
    assert (
        report["tensors"][1].items()
        >= {
            "name": "model.layers.0.input_layernorm.weight",
            "concept": "norm1",
            "layer": 0,
            "shape": [576],
            "dtype": "BF16",
            "parameters": 576,
            "bytes": 1152,
            "file": "model.safetensors",
        }.items()
    )
    assert [group["count"] for group in report["groups"]] == [1, 30, 1]
    assert report["components"][0].keys() == {"component", "formula", "parameters", "share"}
    assert report["totals"] == {
        "tensors": 272,
        "parameters": 134_515_008,
        "stored_parameters": 134_515_008,
        "non_embedding_parameters": 106_203_456,
        "bytes": 269_030_016,
    }
    assert report["attention"] == {
        "kind": "GQA",
        "query_heads": 9,
        "kv_heads": 3,
        "head_dim": 64,
        "sharing": 3,
    }
    assert report["kv_cache"] == {
        "bytes_per_token": {"fp32": 46_080, "bf16": 23_040, "int8": 11_520}
    }
    assert report["source"].keys() == {"kind", "requests", "bytes_read", "commit"}
    assert report["source"]["requests"] == 0
    assert 0 < report["source"]["bytes_read"] < 100_000


def test_a_file_alone_is_listed_without_concepts(tmp_path, inspect):
    path = write_hollow(tmp_path / "alone.safetensors", [("h.0.w", "F32", (2, 3))])
    code, out, err = inspect(path)
    assert (code, err) == (0, "")
    assert "family unknown" in out
    assert "2×3" in out
    code, out, _ = inspect(path, "--params")
    assert code == 0
    assert "No config.json says which values are parameters" in out
    report = json.loads(inspect(path, "--json")[1])
    assert report["kv_cache"] is report["attention"] is report["family"] is None


def test_strangers_are_warned_of_on_stderr_unless_quiet(tmp_path, inspect):
    folder = write_shape(tmp_path, SMALL, changed={"odd": ("F32", (1,))})
    code, out, err = inspect(folder)
    assert code == 0
    assert err.startswith("warning: 1 tensor has no place in the family llama")
    assert err.count("\n") == 1
    assert "warning" not in out
    assert inspect(folder, "--quiet")[2] == ""


def test_control_characters_in_names_are_shown_escaped(tmp_path, inspect):
    name = "\x1b]52;c;QQ==\x07\x9b2J\u202eevil\nname\t[bold]"
    _, out, err = inspect(write_shape(tmp_path, SMALL, changed={name: ("F32", (1,))}))
    shown = r"\x1b]52;c;QQ==\x07\x9b2J\u202eevil\nname\t[bold]"
    assert shown in out
    assert shown in err
    assert err.count("\n") == 1
    for character in "\x1b\x07\x9b\u202e\t":
        assert character not in out + err


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text('{"model_type": 3}'),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").write_bytes(b"<html>" * 9),
        lambda folder: os.truncate(folder / "model.safetensors", 4000),
        lambda folder: write_shape(folder, SMALL, without=("model.norm.weight",)),
        lambda folder: write_shape(folder, SMALL, changed={"model.norm.weight": ("F32", (31,))}),
    ],
)
def test_damaged_and_contradicting_folders_are_one_line_and_exit_4(tmp_path, inspect, spoil):
    folder = write_shape(tmp_path, SMALL)
    spoil(folder)
    code, out, err = inspect(folder)
    assert (code, out) == (4, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    assert len(lines) == 1 or lines[1].startswith("hint: ")


def test_a_folder_that_is_not_there_is_exit_3(tmp_path, inspect):
    assert inspect(tmp_path / "nowhere")[0] == 3


def test_the_real_thing_without_torch_and_its_json_is_json(tmp_path):
    folder = write_shape(tmp_path, SMOLLM2_135M)
    program = (
        "import sys; from llmcli.cli.app import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'tokenizers', 'safetensors', 'jinja2', 'huggingface_hub', "
        "'llmcli.checkpoint.hub', 'llmcli.checkpoint.remote'}; "
        "print(code, sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(folder)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.stderr == "0 []\n"
    made = llmcli("inspect", folder, "--json")
    tool = subprocess.run(
        [sys.executable, "-m", "json.tool"], input=made.stdout, capture_output=True, text=True
    )
    assert (made.returncode, tool.returncode) == (0, 0)


@pytest.mark.parametrize("look", ["--full", "--json"])
def test_a_reader_that_leaves_early_is_no_error(tmp_path, look):
    folder = write_shape(tmp_path, {**SMALL, "num_hidden_layers": 1000})
    command = [sys.executable, "-m", "llmcli", "inspect", str(folder), look]
    # Unbuffered, Python itself swallows what a broken pipe does to a long write.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        told = child.stderr.read()
    assert (child.returncode, told) == (0, b"")


def test_the_demo_is_inspected_by_name(inspect):
    from llmcli.checkpoint.store import demo_folder

    if not (demo_folder() / "config.json").exists():
        pytest.skip("the demo model is not built yet")
    code, out, _ = inspect("demo", "--json")
    assert code == 0
    assert json.loads(out)["source"]["kind"] == "demo"


def test_real_files_single_and_sharded(shared_data: Path, inspect):
    whole = json.loads(inspect(shared_data / "stories260K", "--json")[1])
    parts = json.loads(inspect(shared_data / "stories260K-sharded", "--json")[1])
    assert whole["totals"]["parameters"] == 260_032
    assert parts["totals"] == whole["totals"]
