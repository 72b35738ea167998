"""What models are on this disk, told from names, sizes and headers alone.

It knows nothing of the network and computes nothing.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from llmcli.checkpoint.headers import TensorHeader, read_folder
from llmcli.checkpoint.hub_cache import Snapshot, lacking, snapshots
from llmcli.checkpoint.json_file import read_json_object
from llmcli.checkpoint.store import DEMO, demo_folder
from llmcli.errors import InvalidModelError

# Values that are stored but not learned: causal masks of GPT-2's kind, and RoPE frequencies.
_BUFFER = re.compile(r"(.*\.)?(attn\.masked_bias|rotary_emb\.inv_freq)")


@dataclass(frozen=True)
class CachedModel:
    """One model on this disk. `revision` is a branch or tag, or the commit where none names it;
    `size_bytes` counts its files; `parameters` is None where the headers alone cannot tell (packed
    weights); `problem` says why a damaged or incomplete model cannot be used."""

    name: str
    revision: str
    commit: str | None
    size_bytes: int
    family: str | None
    parameters: int | None
    folder: str
    problem: str | None


def cached_models() -> list[CachedModel]:
    """The demo, then every snapshot of a model in the hub's cache, by name."""
    bundled = _describe(DEMO, "bundled", None, demo_folder())
    return [bundled, *(_from_snapshot(snapshot) for snapshot in snapshots())]


def _from_snapshot(snapshot: Snapshot) -> CachedModel:
    named = sorted(snapshot.revisions, key=lambda revision: (revision != "main", revision))
    revision = named[0] if named else snapshot.commit
    return _describe(snapshot.repo, revision, snapshot.commit, snapshot.folder)


def _describe(name: str, revision: str, commit: str | None, folder: Path) -> CachedModel:
    family, parameters, problem = None, None, None
    try:
        config = read_json_object(folder / "config.json")
        model_type = config.get("model_type")
        family = model_type if isinstance(model_type, str) else None
        tensors = read_folder(folder)
        packed = config.get("quantization_config") is not None
        parameters = None if packed else count_parameters(tensors)
        missing = lacking(folder)
        problem = f"{missing[0]} is missing" if missing else None
    except InvalidModelError as error:
        problem = str(error).removeprefix(f"{folder}: ").removeprefix(f"{folder}{os.sep}")
    return CachedModel(
        name=name,
        revision=revision,
        commit=commit,
        size_bytes=_size(folder),
        family=family,
        parameters=parameters,
        folder=str(folder),
        problem=problem,
    )


def count_parameters(tensors: dict[str, TensorHeader]) -> int:
    """The values of all tensors but buffers. A tied head that is stored all the same counts."""
    return sum(tensor.n_values for tensor in tensors.values() if not _is_buffer(tensor))


def _is_buffer(tensor: TensorHeader) -> bool:
    mask = tensor.name.endswith("attn.bias") and len(tensor.shape) == 4
    return mask or _BUFFER.fullmatch(tensor.name) is not None


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, links followed, each file once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:  # a link whose blob is gone
            continue
        if path.is_file():
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
