"""What a file or a folder is that should have held safetensors, and what to do about it.

It looks at first bytes and at names; it reads no format.
"""

from pathlib import Path

from llmcli.checkpoint.header_json import short
from llmcli.errors import InvalidModelError

_OTHER_WEIGHTS = ("*.bin", "*.gguf", "*.pth", "*.pt", "*.ckpt", "*.h5", "*.msgpack", "*.onnx")


def kind_of(start: bytes) -> tuple[str, str] | None:
    """What a file that is no safetensors file seems to be, and what to do about it."""
    text = start.lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer", "run `git lfs pull` in that folder, or download it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return (
            "a web page",
            "the server answered with a page instead of the file: download it again",
        )
    if text.startswith((b'{"', b"[{")):
        return "a JSON text", "the server answered with a message instead of the file"
    if start.startswith(b"GGUF"):
        return "a GGUF file", "llmcli reads Hugging Face folders: get the safetensors version"
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return (
            "a PyTorch checkpoint (pickle)",
            "pickles can run any code and are never opened: get the safetensors version",
        )
    return None


def no_weights(folder: Path, message: str) -> InvalidModelError:
    """The error of a folder without weights: the message, and what it has in their place."""
    try:
        others = sorted({path.name for glob in _OTHER_WEIGHTS for path in folder.glob(glob)})
        safetensors = sorted(path.name for path in folder.glob("*.safetensors"))
    except OSError:
        others, safetensors = [], []
    if safetensors:
        message += f" (it has {short(safetensors[0])})"
    elif others:
        return InvalidModelError(
            f"{message} (it has {short(others[0])}, a format that llmcli does not read)",
            hint="get the model in safetensors format, or convert it with the tool it came from",
        )
    return InvalidModelError(message)
