"""A checked plain model -> a folder of the same model rounded.

It knows nothing of what the folder looks like.
"""

from collections.abc import Callable
from pathlib import Path

from llmcli.checkpoint.layout import count_parameters
from llmcli.checkpoint.quantization import OWN, Quant
from llmcli.checkpoint.save_quantized import save_quantized
from llmcli.core.ops import use_threads
from llmcli.engine.folder import CheckedFolder
from llmcli.engine.hardware import choose_threads, memory_failures


@memory_failures("quantizing the model")
def quantize(
    checked: CheckedFolder,
    quant: Quant,
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write the model, rounded, to `out`; returns its files and their sizes in bytes. Raises as
    `CheckedFolder.rounded_to` and `save_quantized`."""
    expected = checked.rounded_to(quant).expected
    description = checked.description
    use_threads(choose_threads(None, count_parameters(description.family, description.config)))
    return save_quantized(
        checked.folder, checked.headers, expected, OWN[quant], out, progress=progress
    )
