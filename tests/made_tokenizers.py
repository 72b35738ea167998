"""Small tokenizers of every kind that tokenizer.json knows, made on the spot."""

import json
from pathlib import Path

import pytest
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers import Tokenizer as Backend

DATA = Path(__file__).parents[2] / "shared" / "data"
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
