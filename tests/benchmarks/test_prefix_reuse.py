"""What the table on prefix reuse says of raw figures, and that its arms are what they say."""

import json

import pytest
from tiny_models import write_tiny_llama

from benchmarks import prefix_reuse
from benchmarks.prefix_reuse import WITH, WITHOUT, block, main


def second(cached: int, ttft_ms: float, logprob: float = -2.0) -> dict[str, float]:
    return {"prompt": 2000, "cached": cached, "ttft_ms": ttft_ms, "logprob": logprob}


def test_medians_ratio_of_the_same_round_and_difference() -> None:
    arms = {
        WITH: [second(1900, 10.0), second(1900, 30.0), second(1900, 20.0)],
        WITHOUT: [second(0, 100.0), second(0, 900.0, -2.5), second(0, 300.0)],
    }
    text = block(arms, "machine")
    assert f"| {WITH} | 2,000 | 1,900 | 100 | 20 | 10 |" in text
    assert f"| {WITHOUT} | 2,000 | 0 | 2,000 | 300 | 100 |" in text
    assert "comes 15 times as fast" in text
    assert "differ by 5.0e-01" in text


def test_one_arm_goes_on_and_the_other_begins_anew(tmp_path, capsys, monkeypatch) -> None:
    for name, tokens in (("QUESTION", 40), ("ANSWER", 4), ("SECOND", 4)):
        monkeypatch.setattr(prefix_reuse, name, tokens)
    main(write_tiny_llama(tmp_path / "model"), threads=1, rounds=2)
    arms = json.loads(capsys.readouterr().out)
    for reused, anew in zip(arms[WITH], arms[WITHOUT], strict=True):
        assert reused["prompt"] == anew["prompt"] > reused["cached"] > 40
        assert anew["cached"] == 0
        assert reused["logprob"] == pytest.approx(anew["logprob"], abs=1e-4)
