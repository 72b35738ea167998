"""Knows how the vocabulary is learned from the corpus and written in the Hugging Face layout.

It does not know the model.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.corpus import ENDOFTEXT, IM_END, IM_START, documents
from training.facts_people import ANIMALS
from training.facts_world import CAPITALS, TITLES

SPECIAL = (ENDOFTEXT, IM_START, IM_END)
VOCABULARY = 3072
SAMPLE = 30_000
WHOLE_WORD_COUNT = 500

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def learn(seed: int) -> Tokenizer:
    """A byte-level BPE with single digits, learned from the beginning of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Block -1 is never trained on, so that the vocabulary does not depend on the stream.
    texts = (part for doc in documents(seed, -1, SAMPLE) for part, _ in doc.parts)
    tokenizer.train_from_iterator(itertools.chain(texts, whole_words()), trainer)
    return tokenizer


def whole_words() -> Iterator[str]:
    """Words that a reader likes to see as one token, often enough to become one."""
    words = (*CAPITALS, *CAPITALS.values(), *ANIMALS, *(right for _, right in TITLES))
    for word in words:
        yield from [f" {word}"] * WHOLE_WORD_COUNT


def write(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """tokenizer.json and tokenizer_config.json with the chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": ENDOFTEXT,
        "eos_token": IM_END,
        "pad_token": ENDOFTEXT,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
