"""Packed integer tensors of a checkpoint -> the core's linear maps.

It knows how values lie in words, read off the packers of AutoGPTQ, GPTQModel and AutoAWQ, and in
the bytes of our own layout (see `quantization`); it knows nothing of files, nor of which modules
there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcli.checkpoint.quantization import WORD_BITS, Kind, Packing
from llmcli.core.linear import AnyLinear, JoinedLinear, Linear, QuantizedLinear
from llmcli.errors import InvalidModelError

# AWQ's k-th value of a word belongs to column (0, 2, 4, 6, 1, 3, 5, 7)[k] of eight; so column j of
# eight is the value at this place.
_AWQ_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)


@dataclass(frozen=True)
class Unpacked:
    """A matrix as `QuantizedLinear` takes it: columns in `order`, groups of equal length."""

    bits: int
    group: int | None
    codes: Tensor
    zeros: Tensor | None
    scales: Tensor
    order: Tensor | None


def unpack(
    name: str, tensors: Mapping[Kind, Tensor], packing: Packing, dtype: torch.dtype
) -> Unpacked | Tensor:
    """The whole numbers of module `name`; where the core cannot hold it so, the dequantized matrix
    (rows, columns) in `dtype`.

    `tensors` have the shapes that `packing` gives. Raises InvalidModelError for a group that is
    not there.
    """
    bits = packing.scheme.bits
    if packing.scheme.method == "llmcli":
        codes = tensors["codes"] if bits == 8 else split_nibbles(tensors["codes"], packing.columns)
        return Unpacked(bits, packing.scheme.group_size, codes, None, tensors["scales"], None)
    if packing.scheme.method == "awq":
        codes, zeros = _unpack_awq(tensors["qweight"]), _unpack_awq(tensors["qzeros"])
    else:
        codes = unpack_words(tensors["qweight"], bits).T
        zeros = _true_zeros(unpack_words(tensors["qzeros"].T, bits), packing)
    scales = tensors["scales"].T
    runs = torch.arange(packing.columns) // packing.group_size
    group_of, order = _groups(name, tensors.get("g_idx"), packing), None
    if group_of is None or torch.equal(group_of, runs):
        group_of = runs
    else:
        order = torch.argsort(group_of, stable=True)
    even = order is None or torch.equal(group_of[order], runs)
    if not even or not packing.fits_core:
        scales = scales.float()
        return codes.float().sub_(zeros[:, group_of]).mul_(scales[:, group_of]).to(dtype)
    whole_rows = packing.group_size >= packing.columns
    group = None if whole_rows else packing.group_size
    return Unpacked(bits, group, codes if order is None else codes[:, order], zeros, scales, order)


def join_nibbles(codes: Tensor) -> Tensor:
    """uint8 (rows, columns) below 16 -> (rows, columns / 2, rounded up): two to a byte, the even
    column in its lower half."""
    codes = F.pad(codes, (0, codes.shape[1] % 2))
    return codes[:, ::2] | codes[:, 1::2] << 4


def split_nibbles(packed: Tensor, columns: int) -> Tensor:
    """The same codes apart again."""
    return torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1)[:, :columns]


def unpack_words(words: Tensor, bits: int) -> Tensor:
    """int32 (n_words, width) -> uint8 (n_words * 32 / bits, width).

    Down each column the words are one stream of bits, the lowest first. Values of 3 bits fill three
    words with 32, and two of them straddle words.
    """
    per_unit = WORD_BITS if bits == 3 else WORD_BITS // bits
    units = words.reshape(-1, per_unit * bits // WORD_BITS, words.shape[1])
    values = torch.empty(len(units), per_unit, words.shape[1], dtype=torch.uint8)
    for place in range(per_unit):
        word, shift = divmod(place * bits, WORD_BITS)
        value, here = units[:, word] >> shift, WORD_BITS - shift
        if here < bits:  # the upper bits lie in the next word
            value = (value & ((1 << here) - 1)) | (units[:, word + 1] << here)
        values[:, place] = (value & ((1 << bits) - 1)).to(torch.uint8)
    return values.flatten(0, 1)


def _unpack_awq(words: Tensor) -> Tensor:
    """int32 (n, rows / 8) -> uint8 (rows, n)."""
    values = unpack_words(words.T, 4)
    eights = values.view(-1, len(_AWQ_PLACES), values.shape[1])
    return eights[:, _AWQ_PLACES].flatten(0, 1)


def _true_zeros(stored: Tensor, packing: Packing) -> Tensor:
    """GPTQ's zero points from how they are stored; zero less one was wrapped to the largest."""
    scheme = packing.scheme
    # A symmetric scheme's zero point lies in the middle, and some writers store it as it is, under
    # the name of the format that stores it less one (Qwen3.5-27B-GPTQ-Int4 is such a file:
    # https://github.com/vllm-project/vllm/pull/38966).
    if scheme.symmetric and bool((stored == 1 << (scheme.bits - 1)).all()):
        return stored
    return (stored + scheme.zero_offset) & ((1 << scheme.bits) - 1)


def _groups(name: str, g_idx: Tensor | None, packing: Packing) -> Tensor | None:
    """Each column's group, where the file says it."""
    if g_idx is None:
        return None
    wrong = g_idx[(g_idx < 0) | (g_idx >= packing.n_groups)]
    if len(wrong):
        raise InvalidModelError(
            f"tensor {name}.g_idx names group {int(wrong[0])}, and there are {packing.n_groups}"
        )
    return g_idx.long()


def build_linear(
    parts: Sequence[Unpacked | Tensor], bias: Tensor | None, device: torch.device
) -> AnyLinear:
    """One linear map of the rows of all parts, which are unpacked or plain matrices."""
    packed = [part for part in parts if isinstance(part, Unpacked)]
    if len(packed) == len(parts) and all(_same_order(part, packed[0]) for part in packed):
        order = packed[0].order
        zeros = [part.zeros for part in packed if part.zeros is not None]
        return QuantizedLinear.of(
            _joined([part.codes for part in packed]).to(device),
            _joined([part.scales for part in packed]).to(device),
            _joined(zeros).to(device) if zeros else None,
            bits=packed[0].bits,
            group=packed[0].group,
            order=None if order is None else order.to(device),
            bias=bias,
        )
    plain = [part for part in parts if isinstance(part, Tensor)]
    if not packed:
        return Linear.of(_joined(plain).to(device), bias)
    return JoinedLinear([build_linear([part], None, device) for part in parts], bias)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Rows of all parts; of a single one no copy is made."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _same_order(one: Unpacked, other: Unpacked) -> bool:
    if one.order is None or other.order is None:
        return one.order is other.order
    return torch.equal(one.order, other.order)
