"""A KV cache on disk: the same numbers back, and whatever is not this model's refused."""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import write_tiny_llama

from llmcli.checkpoint.headers import read_header
from llmcli.checkpoint.store import Source
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import decode, prefill
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.saved_cache import read_cache, write_cache
from llmcli.engine.session import Model, load
from llmcli.errors import LlmcliError

IDS = [7 * place % 300 + 3 for place in range(90)]
FILE = "kept.safetensors"


def load_folder(folder: Path, **options: str) -> Model:
    checked = check_folder(Source(kind="folder", name="tiny", folder=folder, commit=None))
    return load(checked, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("kept") / "model", seed=9)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load_folder(folder)


def filled(model: Model, ids: list[int] = IDS) -> HeldPrefix:
    held = HeldPrefix(model.new_cache())
    prefill(model.decoder, ids, held.cache)
    held.extend(ids)
    return held


def empty(model: Model) -> HeldPrefix:
    return HeldPrefix(model.new_cache())


@pytest.fixture
def kept(model: Model, tmp_path: Path) -> Path:
    assert write_cache(tmp_path / FILE, model, filled(model)) == len(IDS)
    return tmp_path / FILE


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_what_comes_back_gives_the_same_logits_to_the_bit(
    folder: Path, tmp_path: Path, dtype: str
) -> None:
    model = load_folder(folder, dtype=dtype)
    before = filled(model)
    write_cache(tmp_path / FILE, model, before)
    after = empty(model)
    assert read_cache(tmp_path / FILE, model, after) == len(IDS)
    assert after.ids == IDS
    assert after.cache.length == len(IDS)
    for token in (5, 6, 7):
        logits = decode(model.decoder, token, before.cache)
        assert torch.equal(logits, decode(model.decoder, token, after.cache))


def test_the_file_says_what_it_is_and_is_for_its_user_alone(model: Model, kept: Path) -> None:
    header = read_header(kept)
    config = model.decoder.config
    assert list(header.tensors) == [
        f"blocks.{layer}.{part}" for layer in range(2) for part in ("keys", "values")
    ]
    shapes = {tensor.shape for tensor in header.tensors.values()}
    assert shapes == {(config.n_kv_heads, len(IDS), config.d_head)}
    assert header.metadata["tokens"] == " ".join(map(str, IDS))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == [FILE]


def test_a_conversation_goes_on_without_computing_what_was_held(
    model: Model, tmp_path: Path
) -> None:
    (word,) = model.tokenizer.encode(" the")
    spec = SamplingSpec(temperature=0, logit_bias={word: 100})

    def say(conversation: Conversation, text: str) -> int:
        generation = conversation.ask(text, spec, max_tokens=40)
        list(generation)
        conversation.keep(generation)
        return generation.timings().new_prompt_tokens

    first = Conversation(model)
    say(first, "Hello. " * 20)
    assert first.held is not None
    n_held = write_cache(tmp_path / FILE, model, first.held)
    again = Conversation(model)
    again.messages = [*first.messages]
    assert again.held is not None
    read_cache(tmp_path / FILE, model, again.held)
    asked = again.ask("And then?", spec, max_tokens=8)
    tokens = [step.token for step in asked]
    assert asked.cached_tokens == n_held > 100
    # The answer's last token, its end, and the new question.
    assert asked.timings().new_prompt_tokens == say(first, "And then?") < 60
    assert first.messages[-1]["content"].startswith(model.tokenizer.decode(tokens))


def rewrite(path: Path, change: Callable[[dict[str, dict[str, object]]], None]) -> None:
    """Change a file's header, and nothing else of it."""
    data = path.read_bytes()
    stop = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:stop])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[stop:])


def metadata(key: str, value: str) -> Callable[[dict[str, dict[str, object]]], None]:
    return lambda header: header["__metadata__"].update({key: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (metadata("schema", "kv/2"), "of another kind than kv/1"),
        (metadata("model", "0" * 64), "of another model"),
        (metadata("rounding", "int8"), "of another rounding"),
        (metadata("template", ""), "of another template"),
        (metadata("tokens", "1 2 3"), r"blocks.0.keys is \[2, 90, 8\], not \[2, 3, 8\]"),
        (metadata("tokens", ""), "its tokens are not ids of this model"),
        (metadata("tokens", " ".join(["320"] * 90)), "its tokens are not ids of this model"),
        (metadata("tokens", "1 -2"), "its tokens are not ids of this model"),
        (metadata("tokens", "1 " * 600 + "1"), "its 601 tokens exceed the context of 512"),
        (metadata("contents", "0" * 64), "its contents are damaged"),
        (lambda header: header["__metadata__"].pop("contents"), "does not say what its contents"),
        (lambda header: header.update(x=header.pop("blocks.1.keys")), "does not hold the layers"),
        (lambda header: header["blocks.0.keys"].update(dtype="I32"), "it is in I32"),
        (lambda header: header["blocks.0.keys"].update(shape=[2, 90, 9]), "data_offsets"),
    ],
)
def test_what_is_not_this_models_is_refused(
    model: Model,
    kept: Path,
    change: Callable[[dict[str, dict[str, object]]], None],
    reason: str,
) -> None:
    rewrite(kept, change)
    held = filled(model, [3, 4, 5])
    with pytest.raises(LlmcliError, match=reason):
        read_cache(kept, model, held)
    assert (held.ids, held.cache.length) == ([3, 4, 5], 3)


def test_damage_is_seen(model: Model, kept: Path) -> None:
    data = kept.read_bytes()
    kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LlmcliError, match="its contents are damaged"):
        read_cache(kept, model, empty(model))
    kept.write_bytes(data[: len(data) // 2])
    with pytest.raises(LlmcliError, match="the file is cut"):
        read_cache(kept, model, empty(model))
    kept.unlink()
    os.mkfifo(kept)
    with pytest.raises(LlmcliError, match="not a regular file but a FIFO"):
        read_cache(kept, model, empty(model))


def test_weights_that_changed_are_another_model(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "model")
    model = load_folder(folder)
    write_cache(tmp_path / FILE, model, filled(model))
    write_tiny_llama(folder, seed=1)  # as many bytes, and the same header
    with pytest.raises(LlmcliError, match="of another model"):
        read_cache(tmp_path / FILE, model, empty(model))


def test_another_dtype_is_refused(folder: Path, kept: Path) -> None:
    model = load_folder(folder, dtype="bf16")
    with pytest.raises(LlmcliError, match="it is in F32, and the model runs in another dtype"):
        read_cache(kept, model, empty(model))


def test_a_disk_that_is_full_leaves_what_was_there(
    model: Model, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_cache(kept, model, filled(model, IDS[:5]))
    assert kept.read_bytes() == before
    assert [path.name for path in kept.parent.iterdir()] == [FILE]


def test_nothing_held_is_not_written(model: Model, tmp_path: Path) -> None:
    assert write_cache(tmp_path / FILE, model, empty(model)) == 0
    assert not any(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        read_cache(tmp_path / FILE, replace(model), empty(model))
