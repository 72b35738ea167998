"""The models that benchmarks make: as every program expects them."""

import pytest
from tokenizers import Tokenizer

from benchmarks.build_llama_cpp import BARRIER, LOAD, add_barrier
from benchmarks.models import SEVEN_TOKENS, write_tokenizer
from benchmarks.place import Unavailable


def test_a_made_tokenizer_has_its_size_and_knows_every_byte(tmp_path) -> None:
    write_tokenizer(tmp_path, 2000)
    backend = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert backend.get_vocab_size() == 2000
    assert len(backend.encode(SEVEN_TOKENS).ids) == 7
    text = "any text, größer: 日本語"
    assert backend.decode(backend.encode(text).ids) == text


def test_the_barrier_stands_before_the_load(tmp_path) -> None:
    file = tmp_path / "mmq.cpp"
    file.write_text(f"{{\n{LOAD}}}\n")
    add_barrier(file)
    assert file.read_text() == f"{{\n{BARRIER}{LOAD}}}\n"


def test_sources_that_changed_are_not_built_without_it(tmp_path) -> None:
    file = tmp_path / "mmq.cpp"
    file.write_text("{}\n")
    with pytest.raises(Unavailable, match="used to"):
        add_barrier(file)
