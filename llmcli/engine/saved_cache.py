"""A KV cache on disk: safetensors, with what it was computed of and by, which is checked on load.

It knows nothing of sessions. The tensors of layer i are `blocks.{i}.keys` and `blocks.{i}.values`,
(K, S, D) in the dtype of the cache; the metadata are

    schema       kv/1
    model        SHA-256 of config.json, of what the weights' headers say, and of the weight files'
                 sizes and times of change: reading all the weights would take too long
    rounding     how the matrices were rounded, or "none"
    template     SHA-256 of the chat template
    tokens       the S ids whose keys and values these are, between spaces
    contents     SHA-256 of the tensors, in the order of the layers, keys first
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from llmcli.checkpoint.headers import Header, read_folder, read_header
from llmcli.checkpoint.shards import Entry, ShardWriter, memory_of
from llmcli.checkpoint.weights import DTYPES, MappedFiles
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model
from llmcli.engine.session_store import private_file
from llmcli.errors import InvalidModelError, LlmcliError

SCHEMA = "kv/1"


def write_cache(path: Path, model: Model, held: HeldPrefix) -> int:
    """Write what is held, for this user only, in place of what was there; returns its number of
    tokens. Nothing held is not written.

    Raises OSError, and leaves what was there, where the disk does not take it.
    """
    ids = held.ids[: held.cache.length]
    if not ids:
        return 0
    held.cache.truncate(len(ids))
    layers = held.cache.held()
    dtype = next(name for name, kind in DTYPES.items() if kind == model.decoder.dtype)
    names = _names(len(layers))
    entries = [Entry(name, dtype, tuple(layers[0].shape[2:])) for name in names]
    metadata = {**_origin(model), "tokens": " ".join(map(str, ids)), "contents": _digest(layers)}
    with private_file(path) as descriptor, open(descriptor, "wb", closefd=False) as file:
        writer = ShardWriter(file, entries, metadata)
        for name, tensor in zip(names, _tensors(layers), strict=True):
            writer.write(name, tensor)
    return len(ids)


def read_cache(path: Path, model: Model, held: HeldPrefix) -> int:
    """Hold what is in the file, in place of what is held; returns its number of tokens.

    Raises LlmcliError, and changes nothing, where the file is damaged or of another model, rounding
    or template; FileNotFoundError where there is none.
    """
    if not path.exists() and not path.is_symlink():
        raise FileNotFoundError(path)
    try:
        header = read_header(path)
        ids = _check(header, model)
        maps = MappedFiles(path.parent)
        names = _names(len(model.decoder.config.layers))
        tensors = [maps.tensor(header.tensors[name]) for name in names]
    except (InvalidModelError, OSError) as error:
        raise LlmcliError(str(error)) from None
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(memory_of(tensor))
    if digest.hexdigest() != header.metadata["contents"]:
        raise LlmcliError(f"{path}: its contents are damaged")
    pairs = zip(tensors[::2], tensors[1::2], strict=True)
    held.cache.restore(len(ids), (torch.stack(pair)[:, None] for pair in pairs))
    held.ids = ids
    return len(ids)


def _check(header: Header, model: Model) -> list[int]:
    """The ids, all else being as it should. Raises LlmcliError."""
    path, metadata = header.file, header.metadata
    for key, value in _origin(model).items():
        if metadata.get(key) != value:
            what = "of another kind than kv/1" if key == "schema" else f"of another {key}"
            raise LlmcliError(f"{path}: it is {what}")
    config = model.decoder.config
    words = metadata.get("tokens", "").split(" ")
    ids = [int(word) for word in words if re.fullmatch(r"[0-9]{1,9}", word)]
    if len(ids) != len(words) or max(ids) >= config.vocab_size:
        raise LlmcliError(f"{path}: its tokens are not ids of this model")
    if len(ids) > model.context:
        raise LlmcliError(
            f"{path}: its {len(ids):,} tokens exceed the context of {model.context:,}"
        )
    shape = (config.n_kv_heads, len(ids), config.d_head)
    names = _names(len(config.layers))
    if set(header.tensors) != set(names):
        raise LlmcliError(f"{path}: it does not hold the layers of this model")
    for name in names:
        tensor = header.tensors[name]
        if DTYPES.get(tensor.dtype) != model.decoder.dtype:
            raise LlmcliError(
                f"{path}: it is in {tensor.dtype}, and the model runs in another dtype"
            )
        if tensor.shape != shape:
            raise LlmcliError(f"{path}: {name} is {list(tensor.shape)}, not {list(shape)}")
    if "contents" not in metadata:
        raise LlmcliError(f"{path}: it does not say what its contents are")
    return ids


def _origin(model: Model) -> dict[str, str]:
    """What must be the same for keys and values to be those that the model would compute."""
    template = model.template.source if model.template is not None else ""
    return {
        "schema": SCHEMA,
        "model": _fingerprint(model.folder),
        "rounding": model.scheme.label if model.scheme is not None else "none",
        "template": hashlib.sha256(template.encode("utf-8", "replace")).hexdigest(),
    }


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    tensors = read_folder(folder).values()
    for tensor in tensors:
        digest.update(repr(tensor).encode())
    for name in sorted({tensor.file for tensor in tensors}):
        status = (folder / name).stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _names(n_layers: int) -> list[str]:
    return [f"blocks.{layer}.{part}" for layer in range(n_layers) for part in ("keys", "values")]


def _tensors(layers: list[Tensor]) -> Iterator[Tensor]:
    """Keys and values (K, S, D) of one layer after the other, on the CPU."""
    for both in layers:
        for part in both[:, 0]:
            yield part.cpu().contiguous()


def _digest(layers: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in _tensors(layers):
        digest.update(memory_of(tensor))
    return digest.hexdigest()
