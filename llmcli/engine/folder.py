"""A model folder, checked: everything that can be wrong is found without torch.

The order is cheapest first: config, headers, shapes, tokenizer, template. It loads no weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llmcli.checkpoint.config_json import ModelDescription, read_description
from llmcli.checkpoint.headers import TensorHeader, read_folder
from llmcli.checkpoint.layout import Expected, check_tensors, rounded
from llmcli.checkpoint.quantization import OWN, Quant, QuantScheme
from llmcli.checkpoint.store import Source
from llmcli.checkpoint.template import ChatTemplate, stop_ids
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError, UsageError


@dataclass(frozen=True)
class CheckedFolder:
    """A folder whose parts agree with each other. `unclaimed` names tensors that the family does
    not know; they are ignored, and the user should be told. `scheme` is how the matrices lie in
    memory once loaded: as the file packs them, or as they are rounded then."""

    name: str
    folder: Path
    description: ModelDescription
    headers: Mapping[str, TensorHeader]
    expected: list[Expected]
    unclaimed: list[str]
    tokenizer: Tokenizer
    template: ChatTemplate | None
    stop_ids: frozenset[int]
    scheme: QuantScheme | None

    def rounded_to(self, quant: Quant) -> "CheckedFolder":
        """The same folder, with its matrices to be rounded when they are loaded. Raises UsageError
        where they are packed already."""
        if quant == "none":
            return self
        if self.description.scheme is not None:
            raise UsageError(
                f"{self.name} is quantized already ({self.description.scheme.label}): "
                "--quant is for plain models"
            )
        scheme, tied = OWN[quant], self.description.config.tied
        expected = [rounded(tensor, scheme, tied=tied) for tensor in self.expected]
        return replace(self, scheme=scheme, expected=expected)


def check_folder(source: Source, template_file: Path | None = None) -> CheckedFolder:
    """Raises InvalidModelError for whatever is missing, damaged, contradictory or unsupported.

    `template_file` is a chat template to use instead of the folder's own.
    """
    if source.kind == "file":
        raise InvalidModelError(
            f"{source.name}: one file of weights cannot run by itself",
            hint="name the folder that also holds config.json and tokenizer.json",
        )
    description = read_description(source.folder)
    headers = read_folder(source.folder)
    expected, unclaimed = check_tensors(
        description.family, description.config, headers, scheme=description.scheme
    )
    tokenizer = Tokenizer.load(source.folder, description.config.vocab_size)
    template = ChatTemplate.load(source.folder, tokenizer, template_file)
    return CheckedFolder(
        name=source.name,
        folder=source.folder,
        description=description,
        headers=headers,
        expected=expected,
        unclaimed=unclaimed,
        tokenizer=tokenizer,
        template=template,
        stop_ids=stop_ids(source.folder, tokenizer, template),
        scheme=description.scheme,
    )
