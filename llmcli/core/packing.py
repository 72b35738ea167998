"""How the codes of a quantized matrix lie in memory: tiles of 16 output rows, made for decoding.

In a tile, columns go up in runs of 8 (codes of 4 bits) or 4 (8 bits). A run is 16 words of 32 bits,
one per output row; the columns 2p and 2p + 1 of a run lie at bit `bits * p` of the word's lower and
upper half. Scales and zero points lie by tile, group, output row. It knows nothing of what the
codes mean.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcli.core.tiles import TILE, padded, padded_rows

# Codes that are packed or unpacked at a time: what that takes besides is some 16 bytes for each.
_BLOCK = 1 << 20


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """uint8 (rows, columns), each below 2**bits -> int32 (tiles, runs, 16); `bits` is 4 or 8."""
    rows, columns = codes.shape
    per_run = 32 // bits
    shape = (padded_rows(rows) // TILE, padded(columns) // per_run, TILE)
    packed = codes.new_empty(shape, dtype=torch.int32)
    for part in row_blocks(rows, columns):
        some, block = codes[part], packed[part.start // TILE : -(-part.stop // TILE)]
        some = F.pad(some, (0, padded(columns) - columns, 0, -len(some) % TILE))
        words = torch.zeros(
            block.shape[0], TILE, block.shape[1], dtype=torch.int32, device=codes.device
        )
        split = some.view(*words.shape, per_run)
        for place, shift in enumerate(_shifts(bits)):
            words |= split[..., place].int() << shift
        block.copy_(words.transpose(1, 2))
    return packed


def unpack_codes(packed: Tensor, bits: int, columns: int) -> Tensor:
    """int32 (tiles, runs, 16) -> uint8 (16 * tiles, columns)."""
    words = packed.transpose(1, 2)  # (tiles, 16, runs)
    parts = [(words >> shift) & ((1 << bits) - 1) for shift in _shifts(bits)]
    return torch.stack(parts, dim=-1).to(torch.uint8).flatten(2).flatten(0, 1)[:, :columns]


def pack_groups(values: Tensor) -> Tensor:
    """(rows, groups) -> (tiles, groups, 16), rows that are not there with zeros."""
    values = F.pad(values, (0, 0, 0, -len(values) % TILE))
    return values.view(-1, TILE, values.shape[1]).transpose(1, 2).contiguous()


def unpack_groups(packed: Tensor) -> Tensor:
    """(tiles, groups, 16) -> (16 * tiles, groups)."""
    return packed.transpose(1, 2).flatten(0, 1)


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """All rows, in blocks of whole tiles that take a bounded amount of memory to work on."""
    step = _block_tiles(columns) * TILE
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _block_tiles(columns: int) -> int:
    return max(_BLOCK // (padded(columns) * TILE), 1)


def _shifts(bits: int) -> list[int]:
    """Where the columns of a run begin in their word."""
    return [bits * pair + half for pair in range(16 // bits) for half in (0, 16)]
