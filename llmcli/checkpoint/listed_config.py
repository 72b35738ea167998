"""What config.json tells a reader who only lists tensors: more models than the core runs.

It knows nothing of tensors. A family that is not in the table has no sizes here, and a packing
that the core does not unpack is only declared; neither is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmcli.checkpoint.config_json import ModelDescription, describe
from llmcli.checkpoint.declared_packing import DeclaredPacking, read_declared
from llmcli.checkpoint.families import FAMILIES
from llmcli.checkpoint.json_file import read_json_object
from llmcli.errors import InvalidModelError


@dataclass(frozen=True)
class ListedConfig:
    """`description` is None for an unknown family. `packing` is what is declared where the core
    does not unpack it: then `description`, if there, is that of the model unpacked."""

    description: ModelDescription | None = None
    packing: DeclaredPacking | None = None
    warnings: tuple[str, ...] = ()


def read_listed(folder: Path) -> ListedConfig:
    """Read config.json. Raises InvalidModelError where it is missing or damaged, or where a
    setting of a known family is not supported."""
    file = folder / "config.json"
    return listed(read_json_object(file), file)


def listed(raw: Mapping[str, Any], file: Path) -> ListedConfig:
    """The same from parsed JSON; `file` is for messages."""
    packing = read_declared(raw)
    model_type = raw.get("model_type")
    if isinstance(model_type, str) and model_type not in FAMILIES:
        told = f"{file}: model_type {model_type[:60]!r} is none that llmcli runs: its tensors are "
        return ListedConfig(None, packing, (f"{told}listed as the headers have them",))
    try:
        return ListedConfig(describe(dict(raw), file))
    except InvalidModelError as error:
        if packing is None:
            raise
        packed = ("quantization_config", "compression_config")
        plain = {key: value for key, value in raw.items() if key not in packed}
        return ListedConfig(describe(plain, file), packing, (f"listed, but not run: {error}",))
