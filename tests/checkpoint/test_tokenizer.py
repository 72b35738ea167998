"""Tokenizers: the same ids as the reference library, text that streams exactly, damage refused."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Backend

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no published test data here")

CORPUS = [
    "Once upon a time there was a little cat, and it sat on the mat.",
    "Hello world! 123 hello hello the the there then 2024\n\n  indented text\ttabs",
    "naïve café déjà vu — “quotes” 日本語 中文 한국어 🙂🙃 👩‍👩‍👧",
]
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def byte_level():
    """GPT-2's kind: bytes, with added tokens that are special, ordinary, or hold odd characters."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "é x", "日")])
    return backend


def byte_fallback(pieces=("▁", "▁the", "t", "h", "e", "▁a", "a", "c", "▁cat", "日", "\ufffd")):
    """Llama's kind: pieces, and `<0xNN>` for what has no piece."""
    vocabulary = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    scores = [(piece, -float(place)) for place, piece in enumerate(vocabulary)]
    backend = Backend(models.Unigram(scores, unk_id=0, byte_fallback=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(SPECIAL)
    return backend


def metaspace(scheme="always"):
    """Unigram with SentencePiece's mark for spaces, decoded piece by piece."""
    backend = Backend(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    return backend


def word_piece():
    words = ["[UNK]", "hello", "##world", "the", "##s", ",", "!", "n", "##'t"]
    backend = Backend(
        models.WordPiece({word: id for id, word in enumerate(words)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def word_level():
    """No decoder at all: tokens are joined by spaces."""
    backend = Backend(models.WordLevel({"<unk>": 0, "hello": 1, "world": 2, "": 3}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def mixed_decoder():
    """ByteLevel as one stage of several, as some published tokenizers have it."""
    backend = byte_level()
    backend.decoder = decoders.Sequence([decoders.Replace("Ġcat", "Ġdog"), decoders.ByteLevel()])
    return backend


MAKERS = {
    "byte_level": byte_level,
    "byte_fallback": byte_fallback,
    "byte_fallback_empty_piece": lambda: byte_fallback(("▁", "", "a", "▁▁")),
    "metaspace": metaspace,
    "metaspace_first": lambda: metaspace("first"),
    "metaspace_never": lambda: metaspace("never"),
    "word_piece": word_piece,
    "word_level": word_level,
    "mixed_decoder": mixed_decoder,
}


def folder_of(backend, folder, **config):
    folder.mkdir(exist_ok=True, parents=True)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


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
