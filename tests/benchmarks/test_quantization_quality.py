"""What rounding costs is measured by the formulas."""

import math
from pathlib import Path

import pytest
import torch
from tiny_models import write_tiny_llama

from benchmarks.quantization_quality import FORMATS, Text, compare, parts_of, samples, score
from llmcli.checkpoint.store import Source
from llmcli.engine.folder import CheckedFolder, check_folder
from llmcli.engine.session import load

TEXTS = [Text([5, 6, 7, 8, 9]), Text([9, 8, 7, 6], start=3)]


@pytest.fixture
def checked(tmp_path: Path) -> CheckedFolder:
    folder = write_tiny_llama(tmp_path)
    return check_folder(Source("folder", "tiny", folder, None))


def test_scored_are_the_tokens_from_the_start_on(checked: CheckedFolder) -> None:
    decoder = load(checked, device="cpu", dtype="fp32").decoder
    logprobs = score(decoder, TEXTS)
    assert logprobs.shape == (4 + 1, 320)
    last = decoder(torch.tensor([[9, 8, 7]]))[0, -1].softmax(-1).log()
    torch.testing.assert_close(logprobs[-1], last)


def test_each_format_is_held_against_fp32(checked: CheckedFolder) -> None:
    rows = compare(checked, "tiny", TEXTS)
    assert [row[0] for row in rows] == ["tiny, 5 tokens"] + [""] * (len(FORMATS) - 1)
    assert rows[0][1:2] + rows[0][3:] == ["fp32", "+0.00%", "0.0e+00", "100.0%"]
    decoder = load(checked, device="cpu", dtype="fp32").decoder
    truth = score(decoder, TEXTS)
    loss = -truth.gather(1, torch.tensor([[6], [7], [8], [9], [6]])).mean()
    assert float(rows[0][2]) == pytest.approx(math.exp(float(loss)), rel=1e-3)
    int4 = score(load(checked.rounded_to("int4"), device="cpu", dtype="fp32").decoder, TEXTS)
    divergence = torch.nn.functional.kl_div(int4, truth, log_target=True, reduction="batchmean")
    (row,) = [row for row in rows if row[1] == "int4, activations in fp32"]
    assert float(row[4]) == pytest.approx(float(divergence), rel=0.06)  # two digits are shown


def test_samples_are_the_models_own_and_repeatable(checked: CheckedFolder) -> None:
    decoder = load(checked, device="cpu", dtype="fp32").decoder
    once, again = samples(decoder, 0), samples(decoder, 0)
    assert once == again
    assert len({tuple(text.ids) for text in once}) == len(once)
    assert all(text.ids[0] == 0 and len(text.ids) == 256 for text in once)


def test_long_texts_are_cut_where_the_context_ends() -> None:
    assert [text.ids for text in parts_of([1, 2, 3, 4, 5, 6, 7], 3)] == [[1, 2, 3], [4, 5, 6]]
