"""Documentation that is generated from the code is what the code would generate now."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from published import MODELS

from llmcli.checkpoint.families import FAMILIES
from llmcli.checkpoint.family import Family

DOCS = Path(__file__).parents[1] / "docs"
WINDOWS = {
    "none": "",
    "all": "all layers",
    "upper": "upper layers, if switched on",
    "interleaved": "all but every n-th layer",
}


def families_table() -> str:
    heads = ("model_type", "norms", "positions", "window", "MLP", "besides", "settings tested")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for family in FAMILIES.values():
        public = [name for name, (config, _) in MODELS.items() if is_of(family, config)]
        cells = (norms(family), positions(family), WINDOWS[family.windows], mlp(family))
        row = [f"`{family.model_type}`", *cells, besides(family), ", ".join(public)]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def is_of(family: Family, config: dict) -> bool:
    return config["model_type"] == family.model_type


def norms(family: Family) -> str:
    words = []
    if family.traits.get("norm") == "layer":
        words.append("LayerNorm")
    if family.plus_one:
        words.append("1 + w")
    if "norm_places" in family.traits:
        words.append({"after": "post only", "both": "pre and post"}[family.traits["norm_places"]])
    if "qk_norm" in family.traits:
        words.append({"head": "Q, K per head", "all_heads": "Q, K"}[family.traits["qk_norm"]])
    return ", ".join(words)


def positions(family: Family) -> str:
    if not family.rope_kinds:
        return "learned"
    words = [kind for kind in family.rope_kinds if kind != "default"]
    if family.partial_rotary:
        words.append("part of a head")
    if "rope_local_base_freq" in family.defaults:
        words.append("two thetas")
    if "no_rope_layers" in family.defaults:
        words.append("some layers none")
    return ", ".join(words)


def mlp(family: Family) -> str:
    gated = family.traits.get("gated", True)
    key = family.settings["activation"]
    return f"{'' if gated else 'plain '}{family.defaults[key]}"


def besides(family: Family) -> str:
    words = []
    biases = {family.settings[key] for key in ("qkv_bias", "out_bias", "mlp_bias")}
    if family.settings["qkv_bias"] is True:
        words.append("all biases" if biases == {True} else "Q, K, V biases")
    words += [
        word
        for setting, word in {
            "attention_softcap": "soft caps",
            "embedding_scale": "scaled embeddings",
            "residual_scale": "scaled residuals",
        }.items()
        if setting in family.settings
    ]
    if family.transposed:
        words.append("stored (in, out)")
    if isinstance(family.names.get("blocks.{i}.attn.qkv"), str):
        words.append("Q, K, V fused")
    return ", ".join(words)


def test_the_table_of_families_is_what_the_rows_say() -> None:
    text = (DOCS / "adding-a-model.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- families: begin -->\n(.*)<!-- families: end -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == families_table()


def test_the_worked_example_is_the_row_itself() -> None:
    text = (DOCS / "adding-a-model.md").read_text(encoding="utf-8")
    code = (DOCS.parent / "llmcli/checkpoint/families.py").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(QWEN3 = .*?)```", text, re.DOTALL)
    assert example in code


@pytest.mark.parametrize("page", ["quantization.md", "inspect.md"])
def test_the_commands_of_a_page_print_what_is_shown(page: str, tmp_path: Path) -> None:
    """One after the other: one may write what the next reads."""
    text = (DOCS / page).read_text(encoding="utf-8")
    block = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    assert block
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLMCLI_", "HF_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == shown.strip()


def test_the_settings_of_the_chat_page_are_read_as_they_stand(tmp_path: Path) -> None:
    text = (DOCS / "chat.md").read_text(encoding="utf-8")
    (profile,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (config,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    folder = tmp_path / "llmcli"
    folder.mkdir()
    (folder / "config.toml").write_text(config, encoding="utf-8")
    (folder / "tutor.yaml").write_text(profile, encoding="utf-8")
    command = [sys.executable, "-m", "llmcli", "chat", "-s", "@strict", "-p", "Hello", "--json"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LLMCLI_")}
    environment["XDG_CONFIG_HOME"] = str(tmp_path)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["model"] == "demo"
    assert summary["sampling_sources"]["temperature"] == "profile tutor"
    assert summary["sampling"]["logit_bias"]["15"] == -100
