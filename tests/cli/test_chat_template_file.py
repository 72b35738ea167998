"""`--chat-template-file`: a template for a model that has none, or another than its own."""

import json

from tiny_models import write_tiny_llama

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.cli.app import run


def test_a_template_from_a_file_serves_a_model_without_one(tmp_path, capsys, stdin):
    folder = write_tiny_llama(tmp_path / "plain", chat=False)
    ask = ["chat", str(folder), "-p", "Hello.", "-n", "3", "--json"]
    assert run(ask) == 4
    assert "--chat-template-file" in capsys.readouterr().err
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages[0].content }}{% if add_generation_prompt %} the{% endif %}")
    assert run([*ask, "--chat-template-file", str(template)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["prompt_tokens"] == len(Tokenizer.load(folder).encode("Hello. the"))
    assert run([*ask, "--chat-template-file", str(tmp_path / "none")]) == 2
