"""Loading fails in one line where memory or threads run out."""

import torch
from tiny_models import write_tiny_llama

from llmcli.cli.app import run


def test_memory_that_runs_out_while_loading_or_answering_is_exit_code_5(
    tmp_path, capsys, monkeypatch
):
    from llmcli.core.model import Decoder
    from llmcli.engine import session

    def exhausted(*arguments, **options):
        torch.empty(2**50)

    arguments = ["generate", str(write_tiny_llama(tmp_path)), "-p", "Hello", "-n", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(session, "load_decoder", exhausted)
        assert run(arguments) == 5
    assert capsys.readouterr().err.startswith("error: memory ran out while loading the model\n")
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "hidden", exhausted)
        assert run(arguments) == 5
    assert capsys.readouterr().err.startswith("error: memory ran out while computing the text\n")


def test_memory_that_runs_out_anywhere_else_is_exit_code_5(capsys, monkeypatch):
    def exhausted(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("llmcli.views.tokens.run", exhausted)
    assert run(["tokenize", "demo", "Hello"]) == 5
    assert capsys.readouterr().err == "error: memory ran out\n"


def test_absurd_numbers_of_threads_are_a_usage_error(tmp_path, capsys):
    folder = str(write_tiny_llama(tmp_path))
    for number in ("0", "100000", "99999999999999999999"):
        assert run(["generate", folder, "-p", "Hello", "-n", "1", "--threads", number]) == 2
        assert "--threads" in capsys.readouterr().err
