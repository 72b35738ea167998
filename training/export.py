"""Knows the Hugging Face layout of the demo model: its config and the names of its tensors.

It does not know how the weights were found.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from llmcli.core.config import Layer, ModelConfig, Rope
from llmcli.core.model import Decoder
from training import tokenizer as vocabulary

CONTEXT = 1024
N_LAYERS = 5

CONFIG = ModelConfig(
    vocab_size=vocabulary.VOCABULARY,
    d_model=192,
    n_heads=6,
    n_kv_heads=2,
    d_head=32,
    d_ff=448,
    context=CONTEXT,
    layers=(Layer(Rope(theta=10000.0, dim=32)),) * N_LAYERS,
    norm_eps=1e-5,
    activation="silu",
    qkv_bias=False,
    out_bias=False,
    mlp_bias=False,
    tied=True,
    attention_scale=32**-0.5,
)


def split_tensors(decoder: Decoder) -> dict[str, Tensor]:
    """The decoder's tensors under their Hugging Face names, fused ones taken apart."""
    own = decoder.state_dict()
    named = {
        "model.embed_tokens.weight": own["embed.weight"],
        "model.norm.weight": own["final_norm.weight"],
    }
    widths = [CONFIG.d_q, CONFIG.d_kv, CONFIG.d_kv]
    for i in range(N_LAYERS):
        here, there = f"blocks.{i}", f"model.layers.{i}"
        q, k, v = own[f"{here}.attn.qkv.weight"].split(widths)
        gate, up = own[f"{here}.mlp.gate_up.weight"].chunk(2)
        named |= {
            f"{there}.input_layernorm.weight": own[f"{here}.norm1.weight"],
            f"{there}.self_attn.q_proj.weight": q,
            f"{there}.self_attn.k_proj.weight": k,
            f"{there}.self_attn.v_proj.weight": v,
            f"{there}.self_attn.o_proj.weight": own[f"{here}.attn.out.weight"],
            f"{there}.post_attention_layernorm.weight": own[f"{here}.norm2.weight"],
            f"{there}.mlp.gate_proj.weight": gate,
            f"{there}.mlp.up_proj.weight": up,
            f"{there}.mlp.down_proj.weight": own[f"{here}.mlp.down.weight"],
        }
    return named


def fused_tensors(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """The way back: Hugging Face names to the decoder's own."""
    own = {
        "embed.weight": named["model.embed_tokens.weight"],
        "final_norm.weight": named["model.norm.weight"],
    }
    for i in range(N_LAYERS):
        here, there = f"blocks.{i}", f"model.layers.{i}"
        qkv = [named[f"{there}.self_attn.{x}_proj.weight"] for x in "qkv"]
        gate_up = [named[f"{there}.mlp.{x}_proj.weight"] for x in ("gate", "up")]
        own |= {
            f"{here}.norm1.weight": named[f"{there}.input_layernorm.weight"],
            f"{here}.attn.qkv.weight": torch.cat(qkv),
            f"{here}.attn.out.weight": named[f"{there}.self_attn.o_proj.weight"],
            f"{here}.norm2.weight": named[f"{there}.post_attention_layernorm.weight"],
            f"{here}.mlp.gate_up.weight": torch.cat(gate_up),
            f"{here}.mlp.down.weight": named[f"{there}.mlp.down_proj.weight"],
        }
    return own


def write(decoder: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    """The whole model folder; every file is replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / ".fresh"
    vocabulary.write(tokenizer, fresh, CONTEXT)
    end, stop = (tokenizer.token_to_id(t) for t in (vocabulary.ENDOFTEXT, vocabulary.IM_END))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": CONFIG.vocab_size,
        "hidden_size": CONFIG.d_model,
        "intermediate_size": CONFIG.d_ff,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": CONFIG.n_heads,
        "num_key_value_heads": CONFIG.n_kv_heads,
        "head_dim": CONFIG.d_head,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": CONFIG.norm_eps,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "initializer_range": 0.02,
        "bos_token_id": end,
        "eos_token_id": stop,
        "pad_token_id": end,
        "torch_dtype": "bfloat16",
        "use_cache": True,
    }
    generation = {
        "bos_token_id": end,
        "eos_token_id": [stop, end],
        "pad_token_id": end,
        "do_sample": True,
        "temperature": 0.3,
        "top_p": 0.9,
        "max_new_tokens": 200,
    }
    (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (fresh / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    tensors = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in split_tensors(decoder).items()
    }
    save_file(tensors, fresh / "model.safetensors", metadata={"format": "pt"})
    for file in fresh.iterdir():
        file.chmod(0o644)
        file.replace(folder / file.name)
    fresh.rmdir()


def read(folder: Path) -> tuple[Decoder, Tokenizer]:
    """The exported model, its rounded weights held in float32."""
    tensors = load_file(folder / "model.safetensors")
    decoder = Decoder(CONFIG)
    decoder.load_state_dict({k: v.float() for k, v in fused_tensors(tensors).items()})
    return decoder.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))
