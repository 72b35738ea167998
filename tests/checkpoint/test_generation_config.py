"""generation_config.json: what it recommends is taken over, what is wrong in it is named."""

import json

import pytest

from llmcli.checkpoint.generation_config import read_sampling_defaults
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.errors import InvalidModelError


def write(folder, **values):
    (folder / "generation_config.json").write_text(json.dumps(values))
    return folder


def test_only_what_the_file_gives_is_taken_over(tmp_path):
    folder = write(tmp_path, temperature=0.6, top_p=0.9, eos_token_id=[1, 2], do_sample=True)
    assert read_sampling_defaults(folder) == {"temperature": 0.6, "top_p": 0.9}


def test_every_setting(tmp_path):
    values = {"temperature": 1, "top_k": 20, "top_p": 0.8, "min_p": 0, "repetition_penalty": 1.05}
    given = read_sampling_defaults(write(tmp_path, **values))
    assert given == values
    assert isinstance(given["top_k"], int)
    SamplingSpec(**given)  # the names and the ranges are the sampler's


def test_no_file_and_nulls_recommend_nothing(tmp_path):
    assert read_sampling_defaults(tmp_path) == {}
    assert read_sampling_defaults(write(tmp_path, temperature=None, top_k=None)) == {}


def test_without_sampling_means_greedy(tmp_path):
    folder = write(tmp_path, do_sample=False, temperature=0.7, top_k=50)
    assert read_sampling_defaults(folder) == {"temperature": 0.0, "top_k": 50}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("temperature", "0.7", "must be a number, not '0.7'"),
        ("temperature", True, "must be a number, not true"),
        ("temperature", -0.1, "must be from 0 to"),
        ("temperature", [0.7], "must be a number, not an array"),
        ("top_k", 1.5, "must be a whole number, not 1.5"),
        ("top_k", -1, "must be from 0 to"),
        ("top_k", 10**30, "must be from 0 to"),
        ("top_p", 1.01, "must be at most 1, not 1.01"),
        ("top_p", 0, "must be above 0"),
        ("min_p", 2, "must be at most 1, not 2"),
        ("repetition_penalty", 0, "must be above 0"),
        ("do_sample", "no", "must be true or false, not 'no'"),
        ("do_sample", 0, "must be true or false, not 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, key, value, reason):
    with pytest.raises(InvalidModelError) as caught:
        read_sampling_defaults(write(tmp_path, **{key: value}))
    assert str(caught.value).startswith(f"{tmp_path / 'generation_config.json'}: {key} {reason}")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"temperature": NaN}')
    with pytest.raises(InvalidModelError, match="NaN is not allowed"):
        read_sampling_defaults(tmp_path)
