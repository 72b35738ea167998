"""What the training promises: exact batches, a working optimizer, resuming, faithful export."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from llmcli.core.model import Decoder
from training import export, tokenizer, train
from training.batches import block_batches, encode, stream
from training.corpus import VARIED_BLOCK, Document, documents
from training.muon import Muon, orthogonalized

DEMO = train.OUT


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return Tokenizer.from_file(str(DEMO / "tokenizer.json"))


def test_parts_encode_as_the_whole_text_does(words: Tokenizer) -> None:
    for block in (0, VARIED_BLOCK):
        for doc in documents(1, block, 300):
            assert encode(words, doc)[0] == words.encode(doc.text).ids


def test_digits_are_single_tokens_and_facts_whole_ones(words: Tokenizer) -> None:
    assert len(words.encode("1234").ids) == 4
    for word in (" Paris", " Redemption", " Rings", " squirrel"):
        assert len(words.encode(word).ids) == 1


def test_any_text_survives_the_tokenizer(words: Tokenizer) -> None:
    text = "Größe, naïve, 東京 🙂\n\ttabs  and spaces"
    assert words.decode(words.encode(text).ids) == text


def test_batches_hold_the_stream_and_respect_the_limit(words: Tokenizer, monkeypatch) -> None:
    monkeypatch.setattr("training.batches.BLOCK", 100)
    batches = block_batches(words, 1, 0, 1024, 1024)
    assert sum(batch.ids.shape[0] for batch in batches) == 100
    for batch in batches:
        assert batch.ids.numel() <= 1024 or batch.ids.shape[0] == 1
        assert batch.weights.shape == (batch.ids.shape[0], batch.ids.shape[1] - 1)
        assert (batch.weights > 0).any()


def test_the_stream_goes_on_where_it_was_left(words: Tokenizer, monkeypatch) -> None:
    monkeypatch.setattr("training.batches.BLOCK", 30)
    whole = stream(words, 1, 512, 1024)
    first = [next(whole) for _ in range(5)]
    block, index, _ = first[-1]
    again = next(stream(words, 1, 512, 1024, block, index))
    expected = next(whole)
    assert again[:2] == expected[:2] and torch.equal(again[2].ids, expected[2].ids)


@pytest.mark.parametrize("shape", [(3, 20, 8), (2, 8, 20), (1, 8, 8)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(shape), steps=8))
    assert values.min() > 0.5 and values.max() < 1.4


def test_muon_lowers_a_loss() -> None:
    torch.manual_seed(0)
    goal, weight = torch.randn(6, 4), torch.nn.Parameter(torch.zeros(6, 4))
    optimizer = Muon([weight], lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (weight - goal).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_the_rates_rise_stay_and_fall_to_zero() -> None:
    first, second = train.STAGES
    assert first.rate(0, 0.0) < first.rate(30, 0.01) < 1.0
    assert first.rate(1000, 0.3) == 1.0
    assert first.rate(1000, 0.9) == pytest.approx(0.1 / first.decay_share)
    assert first.rate(1000, 1.0) == second.rate(1000, 1.0) == 0.0
    assert second.rate(10, 0.0) < second.rate(100, 0.1) < second.peak < first.peak


def test_the_second_stage_has_its_own_part_of_the_stream() -> None:
    at = train.Position(block=27, index=170, step=3123, tokens=12_003_594)
    assert at.done(train.STAGES) >= 1.0
    at.enter_next(train.STAGES)
    assert (at.stage, at.block, at.index, at.step) == (1, VARIED_BLOCK, 0, 3123)
    assert at.done(train.STAGES) == 0.0


def test_a_resumed_run_goes_on_exactly(words: Tokenizer, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("training.batches.BLOCK", 12)
    monkeypatch.setattr(train, "BATCH_TOKENS", 128)
    torch.set_num_threads(1)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    # The rate depends on the goal of the stage, so hold it fixed while the goal moves.
    monkeypatch.setattr(train.Stage, "rate", lambda self, step, done: 1.0)

    def stages(*tokens: int) -> tuple[train.Stage, ...]:
        return tuple(replace(s, tokens=t) for s, t in zip(train.STAGES, tokens, strict=False))

    whole, end = train.train(stages(900, 700), tmp_path / "whole", words)
    for part in ((400,), (900,), (900, 300), (900, 700)):
        parts, end_of_parts = train.train(stages(*part), tmp_path / "parts", words)
    assert replace(end, seconds=0.0) == replace(end_of_parts, seconds=0.0)
    assert end.stage == 1 and end.block >= VARIED_BLOCK
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_export_and_reading_agree_up_to_rounding(words: Tokenizer, tmp_path: Path) -> None:
    decoder = train.new_decoder(1)
    export.write(decoder, words, tmp_path)
    again, _ = export.read(tmp_path)
    for (name, a), (_, b) in zip(
        decoder.state_dict().items(), again.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(a.bfloat16().float(), b, msg=name)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_the_bundled_weights_are_small_and_in_bfloat16() -> None:
    path = DEMO / "model.safetensors"
    assert path.stat().st_size <= 12_000_000
    with safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
        assert {part.get_dtype() for part in shapes} == {"BF16"}
    count = sum(parameter.numel() for parameter in Decoder(export.CONFIG).parameters())
    assert 2_000_000 <= count <= 6_000_000


def test_the_template_lays_out_messages_as_the_corpus_does() -> None:
    import jinja2

    from training.corpus import as_document
    from training.tasks_facts import Turn

    template = jinja2.Environment().from_string(tokenizer.CHAT_TEMPLATE)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
    ]
    rendered = template.render(messages=messages, add_generation_prompt=True)
    doc: Document = as_document([Turn("Hi", "Hello."), Turn("Bye", "X")], "Be brief.")
    assert doc.text.startswith(rendered)
