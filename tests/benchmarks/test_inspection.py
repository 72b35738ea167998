"""The folders that reading headers is timed on are what they are called."""

import pytest

from benchmarks.hollow import write_folder
from benchmarks.inspection import LLAMA3_70B, SMOLLM2_135M, llama
from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import inspect


@pytest.mark.parametrize(
    ("config", "n_shards", "n_tensors", "parameters"),
    [(SMOLLM2_135M, 1, 272, 134_515_008), (LLAMA3_70B, 30, 723, 70_553_706_496)],
)
def test_folders_have_published_counts(tmp_path, config, n_shards, n_tensors, parameters):
    report = inspect(
        resolve(str(write_folder(tmp_path / "model", config, llama(config), n_shards)))
    )
    assert (report.totals.tensors, report.totals.parameters) == (n_tensors, parameters)
    assert len({tensor.file for tensor in report.tensors}) == n_shards
