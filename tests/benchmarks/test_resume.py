"""A kept conversation's figures: all of them measured, and what the table makes of them."""

from tiny_models import write_tiny_llama

from benchmarks.place import Place
from benchmarks.resume import block, measure


def test_every_figure_is_measured(tmp_path):
    folder = write_tiny_llama(tmp_path / "model", max_position_embeddings=4096)
    figures = measure(folder, Place("cpu", 1), rounds=1)
    assert figures["dtype"] == "float32"
    # 2 (keys and values) x 2 layers x 2 KV heads x 8 wide x 4 bytes, and a header
    assert 2000 * 256 / 2**20 < figures["mib"] < 2000 * 256 / 2**20 + 0.1
    assert all(figures[name] > 0 for name in ("anew_s", "write_s", "read_s", "question_s"))


def test_the_table_adds_up():
    figures = {"anew_s": 5.0, "read_s": 0.25, "question_s": 0.5, "write_s": 0.1, "mib": 44}
    lines = block({**figures, "dtype": "bfloat16"}, "machine").splitlines()
    assert lines[-2] == "| messages |  | 2,020 | 5.00 | 5.00 |"
    assert lines[-1] == "| and the KV cache | 0.250 | 20 | 0.500 | 0.75 |"
