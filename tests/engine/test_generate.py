"""Generation: the cache changes nothing but the time; stops, limits and interruption end it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source, resolve
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine import generate, hardware
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation, decode, prefill
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model, load
from llmcli.errors import PromptError, UsageError

GREEDY = SamplingSpec(temperature=0.0)


def load_folder(folder: Path, **options) -> Model:
    source = Source(kind="folder", name=folder.name, folder=folder, commit=None)
    return load(check_folder(source), **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_folder(write_tiny_llama(tmp_path_factory.mktemp("model"), seed=4))


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model without a stop id: it talks to the context's end."""
    folder = write_tiny_llama(tmp_path_factory.mktemp("endless"), seed=4, eos_token_id=None)
    (folder / "generation_config.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    return load_folder(folder)


def ids_of(model: Model, text: str = "What is a token?") -> list[int]:
    return model.tokenizer.encode_prompt(text)


def test_with_and_without_the_cache_the_same_tokens_come(endless: Model) -> None:
    prompt = ids_of(endless)
    on = Generation(endless, prompt, GREEDY, max_tokens=60)
    off = Generation(endless, prompt, GREEDY, max_tokens=60, use_cache=False)
    steps_on, steps_off = list(on), list(off)
    assert [step.token for step in steps_on] == [step.token for step in steps_off]
    assert len(steps_on) == 60
    for a, b in zip(steps_on, steps_off, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
    assert off.timings().kv_bytes == 0
    held = (len(prompt) + 59) * endless.kv_bytes_per_token  # the last token was never run
    assert on.timings().kv_bytes == held


def test_prefill_in_chunks_gives_the_same_logits(model: Model) -> None:
    ids = list(range(5, 105))
    whole = prefill(model.decoder, ids, None)
    chunked = prefill(model.decoder, ids, model.new_cache(), chunk=7)
    torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=0)


def test_decode_goes_on_from_the_cache(model: Model) -> None:
    cache = model.new_cache()
    prefill(model.decoder, [5, 6, 7], cache)
    stepped = decode(model.decoder, 8, cache)
    torch.testing.assert_close(
        stepped, prefill(model.decoder, [5, 6, 7, 8], None), atol=1e-5, rtol=0
    )


def test_steps_texts_add_up_to_the_decoded_answer(endless: Model) -> None:
    generation = Generation(endless, ids_of(endless), SamplingSpec(seed=3), max_tokens=200)
    text = "".join(step.text for step in generation)
    assert text == generation.text == endless.tokenizer.decode(generation.token_ids)
    assert len(generation.token_ids) == 200
    assert generation.finish_reason == "length"


def test_a_stop_text_ends_the_answer_and_is_not_shown(endless: Model) -> None:
    whole = Generation(endless, ids_of(endless), GREEDY, max_tokens=80)
    list(whole)
    stop = whole.text[30:36]
    cut = Generation(endless, ids_of(endless), GREEDY, max_tokens=80, stop=[stop])
    steps = list(cut)
    assert cut.text == "".join(step.text for step in steps) == whole.text[: whole.text.find(stop)]
    assert cut.finish_reason == steps[-1].finish == "stop"
    assert len(cut.token_ids) < 80


def test_a_stop_id_ends_the_answer(model: Model) -> None:
    bias = {2: 100.0}
    spec = SamplingSpec(temperature=0.0, logit_bias=bias)
    generation = Generation(model, ids_of(model), spec)
    (step,) = list(generation)
    assert (step.token, step.text, step.finish) == (2, "", "stop")
    assert generation.text == ""


def test_generation_ends_where_the_context_does(endless: Model) -> None:
    prompt = ids_of(endless)
    generation = Generation(endless, prompt, GREEDY)
    steps = list(generation)
    assert len(prompt) + len(steps) == endless.context
    assert generation.finish_reason == "context"


def test_a_held_prefix_is_not_computed_again_and_changes_nothing(endless: Model) -> None:
    held = HeldPrefix(endless.new_cache())
    first = ids_of(endless, "What is a token? Hello there.")
    list(Generation(endless, first, GREEDY, max_tokens=5, held=held))
    second = [*first, *ids_of(endless, " The cat sat.")]
    reused = Generation(endless, second, GREEDY, max_tokens=20, held=held)
    fresh = Generation(endless, second, GREEDY, max_tokens=20)
    assert [s.token for s in reused] == [s.token for s in fresh]
    assert reused.cached_tokens == len(first)
    timings = reused.timings()
    assert timings.new_prompt_tokens == len(second) - len(first)
    assert timings.prompt_tokens == len(second)


@pytest.mark.parametrize("where", [["hidden", "replayed"], ["finished"]])  # begun, and computed
def test_an_interruption_at_any_point_leaves_a_cache_that_can_be_reused(
    endless: Model, where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldPrefix(endless.new_cache())
    prompt = ids_of(endless)
    expected = [s.token for s in Generation(endless, prompt, GREEDY, max_tokens=12)]
    for moment in range(1, 8):
        calls = 0

        def interrupting(original: Callable[..., object], *arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == moment:  # noqa: B023  (called while this moment lasts)
                raise KeyboardInterrupt
            return original(*arguments)

        generation = Generation(endless, prompt, GREEDY, max_tokens=12, held=held)
        with monkeypatch.context() as patch:
            for name in where:
                owner = generate if name == "replayed" else endless.decoder
                patch.setattr(owner, name, partial(interrupting, getattr(owner, name)))
            with pytest.raises(KeyboardInterrupt):
                list(generation)
        generation.interrupt()
        assert generation.finish_reason == "interrupted"
        assert generation.token_ids == expected[: moment - 1]
        again = Generation(endless, prompt, GREEDY, max_tokens=12, held=held)
        assert [step.token for step in again] == expected


def test_prompts_that_cannot_be_answered_are_refused_with_numbers(model: Model) -> None:
    with pytest.raises(PromptError, match="empty"):
        Generation(model, [], GREEDY)
    with pytest.raises(PromptError, match=r"512 tokens long.*512 holds 511"):
        Generation(model, [5] * 512, GREEDY)
    assert len(list(Generation(model, [5] * 511, GREEDY))) == 1


def test_a_bias_for_no_token_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="token 320 is not in the vocabulary"):
        Generation(model, [5], SamplingSpec(logit_bias={320: 1.0}))


def test_the_same_seed_gives_the_same_text(endless: Model) -> None:
    def text(seed: int, **options) -> str:
        spec = SamplingSpec(seed=seed)
        generation = Generation(endless, ids_of(endless), spec, max_tokens=30, **options)
        list(generation)
        return generation.text

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_published_text_comes_out_exactly(shared_data: Path) -> None:
    model = load_folder(shared_data / "stories260K")
    for count in (200, 256):
        expected = (shared_data / "stories260K" / f"greedy_{count}_tokens.txt").read_text()
        generation = Generation(model, model.tokenizer.encode_prompt(""), GREEDY, max_tokens=count)
        list(generation)
        assert generation.text.strip() == expected.strip()


def test_load_options_are_checked(model: Model) -> None:
    with pytest.raises(UsageError, match="--ctx-size 1,000 exceeds"):
        load_folder(model.folder, context=1000)
    with pytest.raises(UsageError, match="--device"):
        load_folder(model.folder, device="tpu")
    with pytest.raises(UsageError, match="--dtype"):
        load_folder(model.folder, dtype="fp8")
    assert load_folder(model.folder, dtype="bf16").decoder.dtype == torch.bfloat16
    assert load_folder(model.folder, context=100).context == 100


def test_a_small_model_takes_one_thread_unless_more_are_asked_for(model: Model) -> None:
    before = torch.get_num_threads()
    try:
        load_folder(model.folder)
        assert torch.get_num_threads() == 1
        load_folder(model.folder, threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_large_model_takes_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_ALL_THREADS", 7)
    assert hardware.choose_threads(None, 134_515_008) == 7
    assert hardware.choose_threads(3, 134_515_008) == 3
    assert hardware.choose_threads(None, 2_373_696) == 1


def test_a_seed_gives_the_same_text_whatever_the_cache_holds() -> None:
    """But for rounding: a pass over few tokens sums in another order than one over many, which
    draws another token about once in 400,000."""
    model = load(check_folder(resolve("demo")))

    def talk(seed: int, *, use_cache: bool = True, fresh: bool = False) -> tuple[list[str], int]:
        conversation = Conversation(model, use_cache=use_cache)
        for question in ("Hello, my name is Priya.", "Write a short story about a fox."):
            if fresh:
                messages = conversation.messages
                conversation = Conversation(model)
                conversation.messages = messages
            answer = conversation.ask(question, SamplingSpec(seed=seed), max_tokens=40)
            list(answer)
            conversation.keep(answer)
        texts = [message["content"] for message in conversation.messages]
        return texts, answer.cached_tokens

    seen = set()
    for seed in range(4):
        reused, cached = talk(seed)
        assert cached > 0
        assert (reused, 0) == talk(seed, use_cache=False) == talk(seed, fresh=True)
        assert (reused, cached) == talk(seed)
        seen.add(tuple(reused))
    assert len(seen) > 1
