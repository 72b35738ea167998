"""Where a user's files lie."""

from pathlib import Path

import pytest

from llmcli.cli.user_folders import config_file, history_file, sessions_folder, user_folder


def test_the_variable_or_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert history_file() == tmp_path / "state/llmcli/history"
    assert sessions_folder() == tmp_path / "data/llmcli/sessions"
    assert config_file() == tmp_path / "home/.config/llmcli/config.toml"


def test_no_home_is_an_error_of_the_disk(monkeypatch):
    def homeless(path):
        raise RuntimeError

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(OSError, match="there is no home folder"):
        user_folder("XDG_DATA_HOME", ".local/share")
