"""The looks of `llmcli inspect`: at 80 columns, in every form, and what excludes what."""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from published import MODELS
from rich.console import Console
from shapes import LLAMA3_8B, SMALL, SMOLLM2_135M, write_hollow, write_shape

from llmcli.cli.app import run
from llmcli.cli.inspect_memory import parse_size
from llmcli.cli.output import Output
from llmcli.errors import UsageError

Run = Callable[..., tuple[int, str, str]]
LOOKS: dict[str, list[str]] = {
    "inventory": [],
    "full": ["--full"],
    "params": ["--params"],
    "memory": ["--memory", "--fit", "16GiB"],
    "tree": ["--tree"],
    "by": ["--by", "component"],
}
# Wide names, wide numbers, many layers of two kinds, fused parts.
WIDE = ("meta-llama/Llama-3.1-8B", "google/gemma-2-9b", "microsoft/Phi-4-mini-instruct")


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def written(name: str, folder: Path) -> Path:
    """A folder of a published shape."""
    from llmcli.checkpoint.config_json import describe
    from llmcli.checkpoint.layout import expected_tensors

    config = MODELS[name][0]
    description = describe(config, folder / "config.json")
    tensors = expected_tensors(description.family, description.config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_hollow(folder / "model.safetensors", [(t.name, "BF16", t.shape) for t in tensors])
    return folder


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", WIDE)
def test_80_columns_hold_every_look(
    name: str, look: str, tmp_path: Path, inspect: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written(name, tmp_path))

    def terminal(self: Output, *, stderr: bool = False) -> Console:
        return Console(file=self.stdout, width=80, highlight=False, markup=False, emoji=False)

    monkeypatch.setattr(Output, "console", terminal)
    monkeypatch.setattr(Output, "styled", True)
    code, out, _ = inspect(".", *LOOKS[look])
    assert code == 0
    widest = max(out.splitlines(), key=len)
    assert len(widest) <= 80
    if look in ("inventory", "full"):
        assert any(line.endswith(" KiB") for line in out.splitlines())  # bytes are not left out


@pytest.mark.parametrize("look", LOOKS)
def test_a_pipe_gets_what_a_wide_terminal_shows(
    look: str, tmp_path: Path, inspect: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich draws one of them, and is not there for the other."""
    folder = write_shape(tmp_path / "model", SMALL)
    piped = inspect(folder, *LOOKS[look])
    monkeypatch.setattr(Output, "styled", True)
    assert inspect(folder, *LOOKS[look]) == piped


@pytest.mark.parametrize("look", LOOKS)
def test_every_form_of_every_look(look: str, tmp_path: Path, inspect: Run) -> None:
    folder = write_shape(tmp_path / "model", SMALL)
    options = [folder, *LOOKS[look]]
    shown = inspect(*options)
    assert shown[0] == 0
    code, out, _ = inspect(*options, "-o", "md", "--explain")
    assert code == 0
    assert out.startswith("**")
    assert "2 × 5 × 2 × 8 = 160 values" in out
    code, out, _ = inspect(*options, "-o", "csv")
    rows = list(csv.reader(io.StringIO(out)))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) > 2
    files = tmp_path / "a.html", tmp_path / "a.svg"
    code, out, err = inspect(*options, "--html", files[0], "--svg", files[1])
    assert (code, out) == (0, shown[1])
    assert [line.split(":")[0] for line in err.splitlines()] == ["written", "written"]
    assert files[0].read_text(encoding="utf-8").startswith("<!doctype html>")
    ElementTree.fromstring(files[1].read_text(encoding="utf-8"))
    assert inspect(*options, "-o", "json")[1] == inspect(*options, "--json")[1]


def test_csv_of_the_inventory_is_every_tensor(tmp_path: Path, inspect: Run) -> None:
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 272
    assert sum(int(row["parameters"]) for row in rows) == 134_515_008
    assert rows[2]["shape"] == "576x576"


def test_csv_of_memory_holds_every_figure(tmp_path: Path, inspect: Run) -> None:
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "--memory", "-o", "csv")
    rows = {tuple(row[:3]): int(row[3]) for row in list(csv.reader(io.StringIO(out)))[1:]}
    assert rows["weights_naive", "int4", ""] == 67_257_504
    assert rows["kv_cache", "bf16", "8192"] == 8192 * 23_040
    assert rows["kv_cache_mha_9_heads", "bf16", "8192"] == 3 * 8192 * 23_040


def test_fused_tensors_have_views_that_are_not_counted(tmp_path: Path, inspect: Run) -> None:
    folder = written("microsoft/Phi-3-mini-4k-instruct", tmp_path)
    _, out, _ = inspect(folder)
    rows = [line.split() for line in out.splitlines()]
    assert ["view", "[3072:6144,", ":]", "3072×3072", "W_K", "32×96", "(9,437,184)"] in rows
    assert "195 tensors · 3,821,079,552 values" in out
    report = json.loads(inspect(folder, "--json")[1])
    (tensor,) = [
        t for t in report["tensors"] if t["name"].endswith("layers.0.mlp.gate_up_proj.weight")
    ]
    assert tensor["views"][1] == {
        "concept": "W_up",
        "dim": 0,
        "start": 8192,
        "stop": 16384,
        "shape": [8192, 3072],
        "heads": None,
        "parameters": 25_165_824,
    }


def test_what_is_not_mapped_and_buffers_are_counted(tmp_path: Path, inspect: Run) -> None:
    more = {f"odd.{n}": ("F32", (2,)) for n in range(3)}
    more["model.layers.0.self_attn.rotary_emb.inv_freq"] = ("F32", (4,))
    folder = write_shape(tmp_path, SMALL, changed=more)
    _, out, _ = inspect(folder)
    assert "3 tensors not mapped" in out
    assert "1 buffer among them: 4 values, no parameters" in out
    assert sum("not mapped" in line for line in out.splitlines()) == 4
    assert json.loads(inspect(folder, "--json")[1])["unmapped"] == ["odd.0", "odd.1", "odd.2"]


def test_params_are_held_to_bytes_and_to_the_index(tmp_path: Path, inspect: Run) -> None:
    _, out, _ = inspect(write_shape(tmp_path, LLAMA3_8B, n_shards=4), "--params")
    assert "Check: the components' 8,030,261,248 = 16,060,522,496 B ÷ 2 (BF16)" in out
    assert "the headers of 4 shards hold exactly the 291 tensors" in out


def test_sums_of_a_selection(tmp_path: Path, inspect: Run) -> None:
    folder = write_shape(tmp_path, SMALL)
    _, out, _ = inspect(folder, "--by", "component", "--layer", "1")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["sum"][1] == "9"
    assert "embeddings" not in rows
    assert "9 of 47 tensors" in out
    report = json.loads(inspect(folder, "--by", "dtype", "--json")[1])
    assert report["subtotals"]["rows"][0]["name"] == "BF16"
    assert report["subtotals"]["rows"][0]["tensors"] == 47


def test_memory_of_smollm2_135m(tmp_path: Path, inspect: Run) -> None:
    folder = write_shape(tmp_path, SMOLLM2_135M)
    _, out, _ = inspect(folder, "--memory", "--explain")
    rows = [line.split() for line in out.splitlines()]
    assert ["int4", "64.1", "MiB", "84.2", "MiB", "5.25"] in rows
    assert "64.1 MiB naive, about 106.7 MiB in all" in out
    assert ["MQA", "1", "7.5", "KiB", "60.0", "MiB"] in rows
    assert "134,515,008 × 4 / 8 = 67,257,504 B = 64.1 MiB, naive" in out
    assert "2 × 30 × 3 × 64 = 11,520 values × 2 B (bf16) = 23,040 B = 22.5 KiB" in out
    assert "an estimate" in out
    told = json.loads(inspect(folder, "--fit", "300MiB", "--json")[1])["memory"]
    assert told["fit"]["budget_bytes"] == 300 * 1024**2
    assert [way["bf16_tokens"] for way in told["fit"]["longest"][:2]] == [1973, 1973]
    assert [row["tokens"] for row in told["contexts"]] == [1024, 4096, 8192]


def test_fit_alone_is_the_memory_look(tmp_path: Path, inspect: Run) -> None:
    folder = write_shape(tmp_path, SMALL)
    assert inspect(folder, "--fit", "1GiB") == inspect(folder, "--memory", "--fit", "1GiB")


def test_the_tree_has_the_forward_pass(tmp_path: Path, inspect: Run) -> None:
    _, out, _ = inspect(write_shape(tmp_path, SMOLLM2_135M), "--tree")
    assert "(0-29): 30 × Block(" in out
    assert "(k_proj): Linear(576, 192, bias=False)" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["│", "│", "K", "W_K", "x:", "3", "heads", "of", "64", "(T,", "3,", "64)"] in rows
    out = out[out.index("the forward pass") :]
    assert out.index("norm1") < out.index("softmax") < out.index("W_O z") < out.index("norm2")


def test_a_file_alone_says_what_it_cannot_tell(tmp_path: Path, inspect: Run) -> None:
    path = write_hollow(tmp_path / "alone.safetensors", [("h.0.w", "F32", (2, 3))])
    code, out, _ = inspect(path, "--memory")
    assert code == 0
    assert "No config.json of a known family: what is held" in out
    code, out, _ = inspect(path, "--tree")
    assert "(0): w 2×3 F32" in out
    assert "names alone" in out
    code, _, err = inspect(path, "--fit", "1GiB")
    assert code == 4
    assert "hint: name a folder" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--params", "--memory"],
        ["--tree", "--by", "dtype"],
        ["--fit", "1GiB", "--params"],
        ["--memory", "--layer", "1"],
        ["--tree", "--filter", "*"],
        ["--tree", "--full"],
        ["--by", "file", "--full"],
        ["--by", "name"],
        ["--json", "-o", "md"],
        ["--explain", "-o", "csv"],
        ["--explain", "--json"],
        ["--fit", "much"],
        ["--fit", "0"],
        ["-o", "xml"],
    ],
    ids=" ".join,
)
def test_what_excludes_each_other_is_a_usage_error(
    options: list[str], tmp_path: Path, inspect: Run
) -> None:
    code, out, err = inspect(write_shape(tmp_path, SMALL), *options)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("8GiB", 8 * 1024**3),
        ("8G", 8 * 1024**3),
        ("8gb", 8 * 1000**3),
        ("512 MiB", 512 * 1024**2),
        ("1.5KiB", 1536),
        ("900", 900),
        ("7b", 7),
    ],
)
def test_sizes(text: str, n_bytes: int) -> None:
    assert parse_size(text, "--fit") == n_bytes


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1e9", "8 giants", "inf", "0.1"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text, "--fit")


def test_strange_names_are_escaped_in_every_form(tmp_path: Path, inspect: Run) -> None:
    name = "\x1b]52;c;QQ==\x07.<b>&\u202eevil\n.w"
    folder = write_shape(tmp_path / "model", SMALL, changed={name: ("F32", (1,))})
    for look in LOOKS.values():
        for form in ("table", "md", "csv"):
            out = inspect(folder, *look, "-o", form)[1]
            assert not {"\x1b", "\x07", "\u202e"} & set(out)
        page = tmp_path / "page.html"
        inspect(folder, *look, "--html", page)
        told = page.read_text(encoding="utf-8")
        assert "<b>" not in told
        assert not {"\x1b", "\x07", "\u202e"} & set(told)
