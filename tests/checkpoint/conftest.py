"""An empty hub cache, and a hub on this machine, for the tests of what reads and fills them."""

from types import SimpleNamespace

import huggingface_hub
import pytest
from hub_server import Hub, small_model
from huggingface_hub import constants


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, and no MODEL set."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 5)
    monkeypatch.delenv("LLMCLI_MODEL", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub with one small model, org/small, in which nothing waits between attempts."""
    with Hub() as server:
        server.add("org/small", small_model())
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        nap = SimpleNamespace(sleep=lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.file_download.time", nap)
        monkeypatch.setattr("huggingface_hub.utils._http.time", nap)
        yield server
        huggingface_hub.close_session()
