"""Random prompts hold ordinary tokens only, and are the same every time."""

import pytest

from llmcli.bench.prompt import random_ids
from llmcli.errors import InvalidModelError


def test_ids_are_ordinary_tokens_and_repeat(model):
    size = model.decoder.config.vocab_size
    ids = random_ids(model.tokenizer, size, 2000)
    assert len(ids) == 2000
    assert len(set(ids)) > 100
    assert model.tokenizer.special_ids.isdisjoint(ids)
    assert all(model.tokenizer.token_bytes(id) for id in ids)
    assert random_ids(model.tokenizer, size, 2000) == ids
    assert random_ids(model.tokenizer, size, 10) == ids[:10]


def test_a_vocabulary_without_ordinary_tokens_is_refused(model):
    with pytest.raises(InvalidModelError, match="special"):
        random_ids(model.tokenizer, len(model.tokenizer.special_ids), 4)
