"""tokenizer.json from a stranger: what is damaged or contradicts the model is refused."""

import json
import os

import pytest
from made_tokenizers import byte_fallback, byte_level, folder_of
from tokenizers import Tokenizer as Backend
from tokenizers import (
    models,
    pre_tokenizers,
)

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError


def test_a_missing_file_is_refused_with_a_hint(tmp_path):
    with pytest.raises(
        InvalidModelError, match=r"tokenizer\.json: there is no such file"
    ) as caught:
        Tokenizer.load(tmp_path)
    assert "no tokenizer at all" in caught.value.hint
    (tmp_path / "tokenizer.model").write_bytes(b"x")
    with pytest.raises(InvalidModelError) as caught:
        Tokenizer.load(tmp_path)
    assert "tokenizer.model" in caught.value.hint


def test_a_vocabulary_beyond_the_embedding_rows_is_refused(tmp_path):
    folder = folder_of(byte_level(), tmp_path)
    with pytest.raises(
        InvalidModelError, match=r"has id 39., but the model has 300 embedding rows"
    ):
        Tokenizer.load(folder, 300)


def test_an_added_token_beyond_the_embedding_rows_is_refused_when_used(tmp_path):
    tokenizer = Tokenizer.load(folder_of(byte_level(), tmp_path), byte_level().get_vocab_size() - 3)
    assert tokenizer.encode("hello")
    with pytest.raises(InvalidModelError, match=r"'<think>' has id 39."):
        tokenizer.encode("<think>")


@pytest.mark.parametrize(
    "names",
    [{"bos_token": 5}, {"eos_token": {"text": "x"}}, {"extra_special_tokens": {"a_token": []}}],
)
def test_ill_typed_names_of_special_tokens_are_refused(tmp_path, names):
    with pytest.raises(InvalidModelError, match=r"tokenizer_config\.json: .* must be a string"):
        Tokenizer.load(folder_of(byte_level(), tmp_path, **names))


def test_names_of_special_tokens_come_from_both_files(tmp_path):
    folder = folder_of(
        byte_level(),
        tmp_path,
        bos_token={"content": "<s>", "special": True},
        eos_token="<s>",
        pad_token=None,
        add_bos_token=True,
        extra_special_tokens={"image_token": "<img>"},
    )
    (folder / "special_tokens_map.json").write_text('{"eos_token": {"content": "</s>"}}')
    tokenizer = Tokenizer.load(folder)
    expected = {"bos_token": "<s>", "eos_token": "</s>", "image_token": "<img>"}
    assert tokenizer.special_tokens == expected
    assert tokenizer.bos_id == 1
    assert tokenizer.eos_id == 2


def test_cut_anywhere_it_is_refused(tmp_path):
    whole = byte_level().to_str().encode()
    for length in (0, 1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "tokenizer.json").write_bytes(whole[:length])
        with pytest.raises(InvalidModelError, match=r"tokenizer\.json: "):
            Tokenizer.load(tmp_path)


def damaged(change):
    values = json.loads(byte_fallback().to_str())
    change(values)
    return json.dumps(values)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "<html></html>",
        damaged(lambda values: values.pop("model")),
        damaged(lambda values: values["model"].update(type="Unheard")),
        damaged(lambda values: values["model"].update(unk_id=10**9)),
        damaged(lambda values: values["model"].update(vocab=[])),
        # A native panic: it prints on file descriptor 2 and is no Exception.
        damaged(
            lambda values: values.update(
                normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}
            )
        ),
        damaged(
            lambda values: values.update(
                pre_tokenizer={
                    "type": "Split",
                    "pattern": {"Regex": "(("},
                    "behavior": "Isolated",
                    "invert": False,
                }
            )
        ),
    ],
)
def test_damage_is_refused_in_one_line_and_nothing_else_is_said(tmp_path, capfd, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InvalidModelError) as caught:
        Tokenizer.load(tmp_path)
    assert "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_failure_in_use_is_refused_too(tmp_path, capfd):
    """A vocabulary with no token for the unknown fails only on a text that needs one."""
    backend = Backend(models.WordLevel({"hello": 0}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(InvalidModelError, match="not a usable tokenizer"):
        Tokenizer.load(folder_of(backend, tmp_path))
    assert capfd.readouterr().err == ""


def test_a_closed_stderr_does_no_harm(tmp_path):
    folder = folder_of(byte_level(), tmp_path)
    saved = os.dup(2)
    try:
        os.close(2)
        assert Tokenizer.load(folder).encode("hello")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
