"""Tokens of a text and of a chat prompt: the very ids that generation is given."""

import pytest
from tiny_models import CHATML, SPECIALS, write_tokenizer

from llmcli.checkpoint.template import ChatTemplate
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.reports import to_plain
from llmcli.views import tokens


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_tokenizer(folder, 320, chat=True)
    tokenizer = Tokenizer.load(folder)
    template = ChatTemplate.load(folder, tokenizer)
    assert template is not None
    yield tokenizer, template
    template.close()


def test_the_tokens_of_a_text_cover_it(loaded):
    tokenizer, _ = loaded
    text = "Hello there, wörld\n🙂"
    report = tokens.run("tiny", tokenizer, text)
    assert [token.id for token in report.tokens] == tokenizer.encode_prompt(text)
    assert [token.index for token in report.tokens] == list(range(report.count))
    assert bytes(byte for token in report.tokens for byte in token.bytes).decode() == text
    assert report.tokens[-1].end == len(text)


@pytest.mark.parametrize("text", ["Hello", f"Hello{SPECIALS[2]}there"])
def test_the_tokens_of_a_chat_are_the_templates(loaded, text):
    tokenizer, template = loaded
    messages = [{"role": "user", "content": text}]
    report = tokens.run_chat("tiny", tokenizer, template, text)
    assert [token.id for token in report.tokens] == template.encode(messages)
    assert report.text == template.render(messages)
    assert sum(token.special for token in report.tokens) == CHATML.count("<|im_")
    known = [token.start is not None for token in report.tokens]
    assert all(known) is (SPECIALS[2] not in text)


def test_the_report_is_json(loaded):
    report = to_plain(tokens.run("tiny", loaded[0], "Hello"))
    assert report["schema"] == "tokenize/1"
    assert "label" not in report["tokens"][0]
