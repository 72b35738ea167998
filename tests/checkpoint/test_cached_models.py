"""cached_models: every model on the disk is listed, also the damaged ones."""

from hub_server import small_model, weights

from llmcli.checkpoint.cached_models import cached_models
from llmcli.checkpoint.store import resolve

NEEDED_OF_SMALL = ["config.json", "tokenizer.json", "model.safetensors"]


def test_cached_models_lists_the_demo_first_and_each_snapshot(hub, cache):
    assert [model.name for model in cached_models()] == ["demo"]
    resolve("org/small")
    tagged = hub.add("org/small", small_model(2.0), revision="v1")
    resolve("org/small@v1")
    bare = hub.add("org/small", small_model(4.0), revision="gone")
    resolve(f"org/small@{bare}")
    models = {model.revision: model for model in cached_models() if model.name != "demo"}
    assert set(models) == {"main", "v1", bare}
    found = models["v1"]
    files = small_model(2.0)
    assert (found.commit, found.family, found.parameters) == (tagged, "llama", 6)
    assert found.size_bytes == sum(len(files[name]) for name in NEEDED_OF_SMALL)
    assert found.problem is None
    assert found.folder == str(resolve("org/small@v1").folder)


def test_a_damaged_or_incomplete_model_is_listed_with_its_problem(hub, cache):
    damage = {
        "cut": lambda folder: (folder / "model.safetensors").resolve().write_bytes(b"\x10"),
        "no-config": lambda folder: (folder / "config.json").unlink(),
        "bad-config": lambda folder: (folder / "config.json").resolve().write_bytes(b"["),
        "no-weights": lambda folder: (folder / "model.safetensors").unlink(),
        "lost-blob": lambda folder: (folder / "model.safetensors").resolve().unlink(),
        "no-tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    }
    for name, spoil in damage.items():
        # Each of its own, for equal files of one repository share a blob.
        hub.add(f"org/{name}", small_model())
        spoil(resolve(f"org/{name}").folder)
    (cache / "models--org--empty").mkdir()
    (cache / "datasets--org--data" / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (cache / "models--org--small").write_text("not a folder")
    problems = {model.name: model.problem for model in cached_models() if model.name != "demo"}
    assert set(problems) == {f"org/{name}" for name in damage}
    assert "model.safetensors: only 1 bytes" in problems["org/cut"]
    assert "config.json" in problems["org/no-config"]
    assert "not valid JSON" in problems["org/bad-config"]
    assert "model.safetensors" in problems["org/no-weights"]
    assert "symbolic link" in problems["org/lost-blob"]
    assert problems["org/no-tokenizer"] == "tokenizer.json is missing"


def test_parameters_leave_buffers_out_and_packed_weights_unknown(hub):
    files = small_model() | {"model.safetensors": weights(1.0, "h.0.attn.masked_bias")}
    hub.add("org/buffers", files)
    packed = {"config.json": b'{"model_type": "llama", "quantization_config": {"bits": 4}}'}
    hub.add("org/packed", small_model() | packed)
    resolve("org/buffers")
    resolve("org/packed")
    parameters = {model.name: model.parameters for model in cached_models()}
    assert parameters["org/buffers"] == 0
    assert parameters["org/packed"] is None
