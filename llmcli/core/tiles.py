"""Sizes of a quantized matrix in memory; see `packing` for how it lies there. No torch here: what a
model will take is asked before it is loaded."""

TILE = 16  # output rows
GROUP = 32  # columns that the kernels take at a time: what is short of it is filled up


def padded(columns: int) -> int:
    """Columns, filled up to whole groups."""
    return -(-columns // GROUP) * GROUP


def padded_rows(rows: int) -> int:
    """Rows, filled up to whole tiles."""
    return -(-rows // TILE) * TILE
