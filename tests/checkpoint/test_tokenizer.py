"""Tokenizers: the same ids as the reference library, and text that streams exactly."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_tokenizers import (
    DATA,
    MAKERS,
    byte_fallback,
    byte_level,
    folder_of,
    needs_data,
)
from tokenizers import Tokenizer as Backend
from tokenizers import (
    models,
    processors,
)

from llmcli.checkpoint.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Name -> (our tokenizer, the library's own), each from one file."""
    root = tmp_path_factory.mktemp("tokenizers")
    found = {}
    for name, make in MAKERS.items():
        folder = folder_of(make(), root / name, bos_token="<s>", eos_token="</s>")
        found[name] = (
            Tokenizer.load(folder),
            Backend.from_file(str(folder / "tokenizer.json")),
        )
    if DATA.is_dir():
        for name in ("gpt2-tokenizer", "stories260K"):
            found[name] = (
                Tokenizer.load(DATA / name),
                Backend.from_file(str(DATA / name / "tokenizer.json")),
            )
    return found


def streamed(tokenizer, ids):
    stream = tokenizer.stream()
    return [stream.push(id) for id in ids], stream.flush()


def every(name):
    return pytest.mark.parametrize("name", name)


ALL = [*MAKERS, *(["gpt2-tokenizer", "stories260K"] if DATA.is_dir() else [])]


@every(ALL)
def test_streaming_random_ids_gives_what_decoding_them_at_once_gives(made, name):
    tokenizer, backend = made[name]
    size = backend.get_vocab_size() + 3  # a few ids without a token, too
    draw = random.Random(name)
    for trial in range(300):
        # All ids; then mostly the low ones, which are single bytes: broken UTF-8 of every kind.
        high = size if trial % 2 else min(size, 270)
        ids = [draw.randrange(high) for _ in range(draw.randrange(40))]
        parts, rest = streamed(tokenizer, ids)
        assert "".join(parts) + rest == backend.decode(ids, skip_special_tokens=True), ids


@every(ALL)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=40))
def test_streaming_any_text_gives_what_decoding_it_at_once_gives(made, name, text):
    tokenizer, backend = made[name]
    ids = tokenizer.encode(text)
    parts, rest = streamed(tokenizer, ids)
    assert "".join(parts) + rest == backend.decode(ids, skip_special_tokens=True)


@every([name for name in ALL if name in ("byte_level", "byte_fallback", "stories260K")])
def test_streamed_text_is_released_early_and_in_whole_characters(made, name):
    tokenizer, _ = made[name]
    text = "the cat 🙂 the cat"
    ids = tokenizer.encode(text)
    parts, rest = streamed(tokenizer, ids)
    assert "".join(parts) == text
    assert rest == ""
    assert "\ufffd" not in "".join(parts)
    assert sum(bool(part) for part in parts) >= 5


def test_a_character_cut_off_at_the_end_comes_with_the_flush(made):
    for name in ("byte_level", "byte_fallback"):
        tokenizer, backend = made[name]
        ids = tokenizer.encode("a🙂")[:-1]
        parts, rest = streamed(tokenizer, ids)
        assert "\ufffd" not in "".join(parts)
        assert rest
        assert set(rest) == {"\ufffd"}
        assert "".join(parts) + rest == backend.decode(ids)


@every(["byte_level", "byte_fallback", "metaspace"])
def test_the_streams_window_stays_short(made, name):
    tokenizer, _ = made[name]
    stream = tokenizer.stream()
    lengths = []
    if hasattr(stream, "_decode"):
        decode = stream._decode
        stream._decode = lambda ids: (lengths.append(len(ids)), decode(ids))[1]
    for id in tokenizer.encode("the cat a   a the " * 200):
        stream.push(id)
    assert max(lengths, default=0) <= 8


@needs_data
@pytest.mark.parametrize(
    "text", ["Hello world! 123", "", " leading", "naïve 🙂 日本", "a<|endoftext|>b", "\n\n  x\t"]
)
def test_gpt2_ids_are_the_librarys(made, text):
    tokenizer, backend = made["gpt2-tokenizer"]
    assert tokenizer.encode_rendered(text) == backend.encode(text).ids
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert 50256 not in tokenizer.encode(text)


@needs_data
def test_the_published_story_decodes_and_encodes(made):
    tokenizer, _ = made["stories260K"]
    text = (DATA / "stories260K" / "greedy_200_tokens.txt").read_text(encoding="utf-8").rstrip("\n")
    ids = tokenizer.encode_prompt(text)
    assert ids[0] == tokenizer.bos_id == 1
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_prompt("") == [1]
    assert tokenizer.encode("") == []


@needs_data
@pytest.mark.parametrize("text", ["Once upon a time", "", " two  spaces", "🙂 é"])
def test_a_prompt_has_what_the_reference_library_puts_around_it(made, text):
    from transformers import PreTrainedTokenizerFast

    folder = DATA / "stories260K"
    reference = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer, _ = made["stories260K"]
    assert tokenizer.encode_prompt(text) == reference(text)["input_ids"]
    assert tokenizer.encode(text) == reference(text, add_special_tokens=False)["input_ids"]


@every(["byte_level", "byte_fallback", "metaspace"])
def test_typed_special_tokens_are_plain_text(made, name):
    tokenizer, backend = made[name]
    control = backend.token_to_id("<|im_end|>")
    text = "a<|im_end|>b"
    assert control not in tokenizer.encode(text)
    assert control not in tokenizer.encode_prompt(text)
    assert control in tokenizer.encode_rendered(text)
    assert control not in tokenizer.encode_within(text, literal=True)
    if name == "byte_level":
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_control_tokens_that_are_ordinary_pieces_too_stay_out(tmp_path):
    """SentencePiece vocabularies hold `</s>` as a piece, which the model itself may choose."""
    pieces = ["<unk>", "<s>", "</s>", "▁", "<", "/", "s", ">", "a"]
    backend = Backend(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = Tokenizer.load(folder_of(backend, tmp_path))
    plain = [8, 4, 5, 6, 7, 8]
    assert tokenizer.encode("a</s>a") == plain
    assert tokenizer.encode_prompt("a</s>a") == [1, *plain, 2]
    assert tokenizer.encode_prompt("a") == [1, 8, 2]
    assert tokenizer.encode_rendered("a</s>a") == [8, 2, 8]


def test_truncation_and_padding_in_the_file_are_not_obeyed(tmp_path):
    backend = byte_level()
    backend.enable_truncation(2)
    backend.enable_padding(length=50)
    tokenizer = Tokenizer.load(folder_of(backend, tmp_path))
    assert tokenizer.decode(tokenizer.encode("the cat sat on the mat")) == "the cat sat on the mat"
    assert len(tokenizer.encode("hello")) < 6


def test_lone_surrogates_are_replaced(made):
    tokenizer, _ = made["byte_level"]
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"


def test_pieces_have_bytes_places_and_labels(made):
    tokenizer, _ = made["byte_level"]
    text = "the cat\n🙂<s>"
    pieces = tokenizer.pieces(text)
    assert [piece.id for piece in pieces] == tokenizer.encode_prompt(text)
    assert b"".join(piece.raw for piece in pieces).decode() == text
    assert all(piece.end > piece.start and not piece.special for piece in pieces)
    assert pieces[-1].end == len(text)
    assert "".join(piece.label for piece in pieces).startswith("the␣cat↵\\xf0")
    rendered = tokenizer.pieces(text, rendered=True)
    assert rendered[-1].special
    assert rendered[-1].raw == b"<s>"


@needs_data
def test_sentence_pieces_have_bytes_places_and_labels(made):
    tokenizer, _ = made["stories260K"]
    pieces = tokenizer.pieces("the 🙂")
    assert pieces[0].special
    assert pieces[0].start == pieces[0].end
    assert pieces[1].label.startswith("␣")
    assert b"".join(piece.raw for piece in pieces[1:]).decode() == " the 🙂"
    assert [piece.raw for piece in pieces[-4:]] == [b"\xf0", b"\x9f", b"\x99", b"\x82"]


def test_ids_without_a_token_have_names_and_no_text(made):
    tokenizer, _ = made["byte_level"]
    assert tokenizer.token(10**6) == tokenizer.label(10**6) == "<unused 1000000>"
    assert tokenizer.token_bytes(10**6) == b""
    assert tokenizer.decode([10**6]) == ""


def test_special_tokens_have_no_text_even_where_the_library_gives_them_one(tmp_path):
    values = json.loads(byte_fallback().to_str())
    for token in values["added_tokens"]:
        token["normalized"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    tokenizer = Tokenizer.load(tmp_path)
    ids = [1, *tokenizer.encode("the cat"), 2]
    parts, rest = streamed(tokenizer, ids)
    assert tokenizer.decode(ids) == "".join(parts) + rest == "the cat"
