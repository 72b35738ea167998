"""The same seed in another process: the same text, whatever the KV cache spared."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from kept_chats import start_chat

from llmcli.checkpoint.store import resolve
from llmcli.engine.folder import check_folder
from llmcli.engine.session import load


@pytest.fixture
def said(tmp_path):
    """What a process of its own prints."""

    def call(command, *arguments, home=tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "llmcli", command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_DATA_HOME": str(home)},
            check=True,
        )
        return done.stdout

    return call


def test_a_text_in_another_process_and_without_a_cache(said):
    text = ("demo", "-p", "The", "--temperature", "1", "-n", "80", "--seed")
    first = said("generate", *text, "4")
    assert said("generate", *text, "4") == first
    assert said("generate", *text, "4", "--no-cache") == first
    assert said("generate", *text, "5") != first


def test_a_second_turn_in_another_process_with_and_without_reuse(said, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "reused"))
    free = {"logit_bias": None, "max_tokens": 40, "temperature": 1.0}
    chat = start_chat(load(check_folder(resolve("demo"))), sampling=free, save_kv=True)
    chat.take("Tell me about Rome.")
    chat.leave()
    shutil.copytree(tmp_path / "reused", tmp_path / "computed")
    (kv,) = (tmp_path / "computed").rglob("*.safetensors")
    kv.unlink()
    turn = ("demo", "--continue", "-p", "And of Paris?", "--temperature", "1.2", "--seed", "8")
    summaries = [
        json.loads(said("chat", *turn, "--json", home=tmp_path / home).splitlines()[-1])
        for home in ("reused", "computed")
    ]
    assert [one["cached_tokens"] > 10 for one in summaries] == [True, False]
    reused, computed = summaries
    assert reused["token_ids"] == computed["token_ids"]
