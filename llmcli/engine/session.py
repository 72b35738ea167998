"""A model folder -> a Model ready to run, checked in the order in which failing is cheapest.

It knows nothing of generation or conversation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from llmcli.checkpoint.config_json import ModelDescription
from llmcli.checkpoint.layout import count_parameters
from llmcli.checkpoint.quantization import QuantScheme
from llmcli.checkpoint.template import ChatTemplate
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.checkpoint.weights import load_decoder
from llmcli.core.cache import KVCache
from llmcli.core.kernels import use_threads
from llmcli.core.model import Decoder
from llmcli.engine.folder import CheckedFolder
from llmcli.engine.hardware import (
    choose_device,
    choose_dtype,
    choose_threads,
    memory_failures,
    refuse_if_too_large,
)
from llmcli.engine.limits import context_size
from llmcli.errors import UsageError


@dataclass(frozen=True)
class Model:
    """A decoder with the tokenizer, chat template and stop ids that belong to it.

    `n_parameters` counts each parameter once, and a packed matrix for what it stands for; `scheme`
    is how the packed ones lie in memory, None where there are none.
    """

    name: str
    folder: Path
    description: ModelDescription
    scheme: QuantScheme | None
    decoder: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate | None
    stop_ids: frozenset[int]
    context: int
    load_s: float
    n_parameters: int

    def new_cache(self) -> KVCache:
        """An empty KV cache that may grow to the context's end."""
        return self.decoder.new_cache(limit=self.context)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token adds to the cache, from the config."""
        return self.decoder.config.kv_values_per_token() * self.decoder.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the weights take, with scales and zero points where packed."""
        held = (*self.decoder.parameters(), *self.decoder.buffers())
        return sum(tensor.nbytes for tensor in held)

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""
        if self.decoder.device.type == "cuda":
            torch.cuda.synchronize(self.decoder.device)

    def peak_device_bytes(self) -> int | None:
        """The most device memory held so far; None on the CPU."""
        if self.decoder.device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(self.decoder.device)

    def check_token(self, token: int) -> None:
        """Raises UsageError for an id that is not in the vocabulary."""
        size = self.decoder.config.vocab_size
        if not 0 <= token < size:
            raise UsageError(f"token {token} is not in the vocabulary of {size:,} tokens")


@memory_failures("loading the model")
def load(
    checked: CheckedFolder,
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    context: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Model:
    """Load a folder that has passed `check_folder`.

    `dtype` "auto" is the checkpoint's own where the device is fast in it, else fp32;
    `threads` is torch's, for the whole process. Raises UsageError for a device or context that
    cannot be, OutOfMemoryError before anything is allocated, or where it turns out on the way.
    """
    start = perf_counter()
    config = checked.description.config
    room = context_size(config, context)
    n_parameters = count_parameters(checked.description.family, config)
    use_threads(choose_threads(threads, n_parameters))
    where = choose_device(device)
    plain = next(tensor for tensor in checked.expected if tensor.kind is None)
    kind = choose_dtype(dtype, checked.headers[plain.name].dtype, where, n_parameters)
    refuse_if_too_large(checked, kind, where)
    decoder = load_decoder(
        checked.folder,
        checked.headers,
        checked.expected,
        config,
        dtype=kind,
        device=where,
        progress=progress,
    )
    return Model(
        name=checked.name,
        folder=checked.folder,
        description=checked.description,
        scheme=checked.scheme,
        decoder=decoder,
        tokenizer=checked.tokenizer,
        template=checked.template,
        stop_ids=checked.stop_ids,
        context=room,
        load_s=perf_counter() - start,
        n_parameters=n_parameters,
    )
