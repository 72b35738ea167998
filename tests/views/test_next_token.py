"""The next token's candidates: what the sampler itself would make of them, stage by stage."""

import math

import pytest
import torch
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.core import sampling
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import prefill
from llmcli.engine.session import Model, load
from llmcli.reports import to_plain
from llmcli.views.next_token import run

SPEC = SamplingSpec(
    temperature=0.7,
    top_k=12,
    top_p=0.8,
    min_p=0.05,
    repetition_penalty=1.3,
    frequency_penalty=0.2,
    logit_bias={7: 1.0, 9: -100.0, 2: -100.0},
    seed=5,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_llama(tmp_path_factory.mktemp("next"), seed=9)
    return load(check_folder(Source(kind="folder", name="tiny", folder=folder, commit=None)))


def test_the_last_stage_is_what_the_sampler_drew_from(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every probability from which a real generation drew its tokens is found again afterwards."""
    drawn_from: list[torch.Tensor] = []
    searchsorted = torch.searchsorted

    def spy(reach: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        drawn_from.append(torch.diff(reach, prepend=reach.new_zeros(1)) / reach[-1])
        return searchsorted(reach, *arguments, **options)

    conversation = Conversation(model)
    generation = conversation.ask("What is a token?", SPEC, max_tokens=12)
    with monkeypatch.context() as patch:
        patch.setattr(sampling.torch, "searchsorted", spy)
        list(generation)
    conversation.keep(generation)
    held = conversation.held
    assert held is not None and len(drawn_from) == 12
    length = held.cache.length
    for index, probabilities in enumerate(drawn_from):
        view = run(
            model,
            generation.prompt_of(index),
            SPEC,
            answer_ids=generation.token_ids[:index],
            held=held,
            top=model.decoder.config.vocab_size,
            drawn=generation.token_ids[index],
        )
        # The sampler looks at the 12 of top-k alone, by rising id.
        known = sorted(one.id for one in view.candidates if one.stages["top_k"] > 0)
        after = {one.id: one.stages["min_p"] for one in view.candidates}
        assert [after[id] for id in known] == pytest.approx(probabilities.tolist(), abs=1e-5)
        (drawn,) = [one for one in view.candidates if one.drawn]
        assert drawn.kept and drawn.logprob == pytest.approx(
            generation.draws[index].logprob, abs=1e-4
        )
        assert view.computed_tokens == 1
        assert held.cache.length == length  # a look changes nothing


def test_every_stage_by_its_definition(model: Model) -> None:
    ids = model.tokenizer.encode("The cat sat on the mat.")
    view = run(model, ids, SPEC, answer_ids=[7, 7], top=320)
    assert view.order == ("penalties", "bias", "temperature", "top_k", "top_p", "min_p")
    logits = prefill(model.decoder, [*ids, 7, 7], None)
    by_id = {one.id: one for one in view.candidates}
    assert sorted(by_id) == list(range(320))
    for id in (0, 7, 100):
        assert by_id[id].logit == pytest.approx(float(logits[id]), abs=1e-4)
        assert by_id[id].p == pytest.approx(float(logits.softmax(0)[id]), abs=1e-5)
    assert by_id[9].stages["bias"] == 0 and not by_id[9].kept
    for stage in view.order:
        assert sum(one.stages[stage] for one in view.candidates) == pytest.approx(1)
    counts = [sum(one.stages[name] > 0 for one in view.candidates) for name in view.order]
    assert counts == [view.left[name] for name in view.order]
    assert counts[3] == 12 and counts == sorted(counts, reverse=True)
    final = [one.stages["min_p"] for one in view.candidates if one.kept]
    assert view.entropy_bits["min_p"] == pytest.approx(-sum(p * math.log2(p) for p in final))
    assert view.mass["top_p"] >= 0.8
    ranks = [one.rank for one in view.candidates]
    assert ranks == list(range(1, 321))
    assert final == sorted(final, reverse=True)


def test_temperature_zero_leaves_the_best(model: Model) -> None:
    ids = model.tokenizer.encode("The cat")
    view = run(model, ids, SamplingSpec(temperature=0.0, top_k=5, top_p=0.5), top=3)
    best = int(prefill(model.decoder, ids, None).argmax())
    assert view.greedy
    assert [one.id for one in view.candidates if one.kept] == [best]
    assert view.candidates[0].stages["temperature"] == 1.0
    assert view.entropy_bits["min_p"] == 0.0 < view.entropy_bits["model"]


def test_the_candidates_asked_for_are_there_with_their_ranks(model: Model) -> None:
    ids = model.tokenizer.encode("The cat")
    spec = SamplingSpec()
    whole = run(model, ids, spec, top=320)
    last, one_before = whole.candidates[-1].id, whole.candidates[-2].id
    view = run(model, ids, spec, top=2, drawn=last, also=(one_before,))
    assert [one.rank for one in view.candidates] == [1, 2, 319, 320]
    assert [one.drawn for one in view.candidates] == [False, False, False, True]


def test_the_keys_of_the_report(model: Model) -> None:
    report = to_plain(run(model, model.tokenizer.encode("The cat"), SamplingSpec(), top=1))
    assert report["schema"] == "next/1"
    assert {"prompt_ids", "candidates", "entropy_bits", "order"} <= set(report)
    (candidate,) = report["candidates"]
    assert {"id", "text", "logit", "p", "stages", "kept"} <= set(candidate)
    assert {"temperature", "top_k", "top_p", "min_p"} <= set(candidate["stages"])


def test_what_a_mask_rules_out_comes_last_and_in_its_own_order(model: Model) -> None:
    def mask(logits: torch.Tensor) -> sampling.Mask:
        return sampling.Mask((torch.arange(len(logits)) == 200).float().log())

    view = run(model, [5, 6, 7], SamplingSpec(), top=6, mask=mask)
    free = run(model, [5, 6, 7], SamplingSpec(), top=6)
    assert view.candidates[0].id == 200 and view.candidates[0].kept
    others = [one.id for one in free.candidates if one.id != 200]
    assert [one.id for one in view.candidates[1:]] == others[:5]
    assert not any(one.kept for one in view.candidates[1:])
