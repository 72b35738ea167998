"""A tiny model, loaded once."""

import pytest
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.engine.folder import check_folder
from llmcli.engine.session import load


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = write_tiny_llama(tmp_path_factory.mktemp("tiny"), max_position_embeddings=128)
    return load(check_folder(Source("folder", "tiny", folder, None)), device="cpu")
