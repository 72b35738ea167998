"""The weights of a Llama folder as a GGUF file, as llama.cpp reads them.

    python -m benchmarks.gguf_file FOLDER PRECISION FILE    # F32, BF16, Q8_0, Q4_0

Every matrix gets the precision, the embedding and so the tied head included (llama-quantize calls
this --pure): fewer bytes than llama-quantize's own Q4_0, whose head is Q6_K. There is no tokenizer:
llama-bench feeds random ids. Needs the `gguf` package, which `path` puts into the cache.
"""

import json
import sys
from pathlib import Path

from benchmarks.place import CACHE, PYTHON, run

GGUF = "gguf==0.19.0"


def path() -> Path:
    """The folder that holds the `gguf` package, apart from the tested environment."""
    folder = CACHE / GGUF
    if not folder.is_dir():
        run([PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, GGUF])
    return folder


def make(folder: Path, precision: str) -> Path:
    """The file, beside the folder's own weights; written on first use."""
    file = folder / f"{precision}.gguf"
    if not file.exists():
        command = [PYTHON, "-m", "benchmarks.gguf_file", folder, precision]
        unfinished = file.with_suffix(".part")
        run([*command, unfinished], {"PYTHONPATH": str(path())})
        unfinished.rename(file)
    return file


def convert(folder: Path, precision: str, file: Path) -> None:
    import gguf
    import numpy
    from gguf.quants import quant_shape_to_byte_shape, quantize
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text())
    n_heads, n_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    d_head = config["hidden_size"] // n_heads
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv_heads)
    writer.add_rope_dimension_count(d_head)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")

    def scheme(n_dimensions: int) -> gguf.GGMLQuantizationType:
        return gguf.GGMLQuantizationType["F32" if n_dimensions == 1 else precision]

    def values(name: str) -> numpy.ndarray:
        tensor = weights.get_tensor(name).float().numpy()
        for part, heads in (("q_proj", n_heads), ("k_proj", n_kv_heads)):
            if part in name:  # llama.cpp rotates neighbours, Hugging Face the two halves of a head
                halves = tensor.reshape(heads, 2, d_head // 2, -1)
                tensor = halves.swapaxes(1, 2).reshape(tensor.shape)
        return tensor

    with safe_open(folder / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118  (this is no dictionary)
            shape = tuple(weights.get_slice(name).get_shape())
            kind = scheme(len(shape))
            stored = quant_shape_to_byte_shape(shape, kind)
            writer.add_tensor_info(
                names.get_name(name, try_suffixes=(".weight",)),
                stored,
                numpy.dtype(numpy.uint8),
                int(numpy.prod(stored)),
                raw_dtype=kind,
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name in weights.keys():  # noqa: SIM118
            tensor = values(name)
            writer.write_tensor_data(quantize(tensor, scheme(tensor.ndim)).view(numpy.uint8))
    writer.close()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
