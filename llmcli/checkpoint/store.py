"""The one MODEL argument of every command -> a folder on this disk, or the headers of a model on
the hub.

It knows nothing of what is in the folder. A model that is whole in the hub's cache is used as it
is, without asking the network: it starts at once, and the same command gives the same model until
`llmcli download` gets the newest.
"""

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from llmcli.checkpoint import hub_cache
from llmcli.errors import InvalidModelError, ModelNotFoundError, UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.headers import TensorHeader
    from llmcli.checkpoint.hub import Progress

DEMO = "demo"
DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# What a start without MODEL may lose on a network that does not answer.
DEFAULT_MODEL_SECONDS = 4.5

T = TypeVar("T")

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_HUB_NAME = re.compile(rf"({_PART}/{_PART})(?:@(.+))?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,199}")


@dataclass(frozen=True)
class Source:
    """Where a model is. `name` is what to call it; for kind "file" it is the file's path, and
    `folder` the folder it lies in. `commit` only for kind "hub"."""

    kind: Literal["demo", "folder", "file", "hub"]
    name: str
    folder: Path
    commit: str | None


@dataclass(frozen=True)
class RemoteModel:
    """What the files of a model on the hub declare. `folder` only names it in messages; `config` is
    its parsed config.json."""

    kind: ClassVar[str] = "hub"

    name: str
    folder: Path
    commit: str
    config: dict[str, Any]
    headers: "dict[str, TensorHeader]"
    requests: int
    bytes_read: int


def resolve(
    name: str | None,
    *,
    revision: str | None = None,
    offline: bool = False,
    progress: "Progress | None" = None,
    notice: Callable[[str], None] | None = None,
) -> Source:
    """`demo`, a folder, a .safetensors file or org/name[@revision] as a Source; the files of a
    model on the hub are downloaded if they are not in its cache.

    None means $LLMCLI_MODEL, else SmolLM2-135M-Instruct, else the demo, said in one `notice`.
    Raises ModelNotFoundError, InvalidModelError or UsageError.
    """

    def fetch(repo: str, revision: str, within: float) -> Source:
        from llmcli.checkpoint import hub

        done = hub.download(hub.list_files(repo, revision, within=within), progress=progress)
        return Source("hub", repo, done.folder, done.commit)

    return find(name, fetch, revision=revision, offline=offline, notice=notice)


def find_headers(
    name: str | None,
    *,
    revision: str | None = None,
    offline: bool = False,
    notice: Callable[[str], None] | None = None,
) -> Source | RemoteModel:
    """The one MODEL argument as `resolve` reads it; of a model that is neither on this disk nor in
    the hub's cache, the headers alone are read. Raises as `resolve`."""

    def fetch(repo: str, revision: str, within: float) -> RemoteModel:
        from llmcli.checkpoint.remote import read_remote

        return read_remote(repo, revision, within)

    def lacking(folder: Path) -> list[str]:
        return [name for name in hub_cache.lacking(folder) if name != "tokenizer.json"]

    return find(name, fetch, revision=revision, offline=offline, needed=lacking, notice=notice)


def find(
    name: str | None,
    fetch: Callable[[str, str, float], T],
    *,
    revision: str | None = None,
    offline: bool = False,
    needed: Callable[[Path], list[str]] = hub_cache.lacking,
    notice: Callable[[str], None] | None = None,
) -> Source | T:
    """As `resolve`, but what is not on this disk is what `fetch` makes of it: of a model, a
    revision, and how many seconds the hub may take to answer. `needed` names what a folder in the
    cache lacks to be used as it is."""
    name = name or os.environ.get("LLMCLI_MODEL") or None
    if name is None:
        if revision is not None:
            raise UsageError("--revision needs a MODEL that it is a revision of")
        return _default(fetch, offline, needed, notice)
    local = _local(name)
    if local is not None:
        if revision is not None:
            raise UsageError(f"--revision is for models on the hub, and {name} is on this disk")
        return local
    repo, revision = parse_hub_name(name, revision)
    return _from_hub(repo, revision, fetch, offline, needed)


def parse_hub_name(name: str, revision: str | None = None) -> tuple[str, str]:
    """org/name[@revision] as (org/name, revision); "main" where none is given.

    Raises ModelNotFoundError, with the likeliest meaning as its hint, if `name` is none.
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None or ".." in match[1] or "--" in match[1]:
        raise _no_such_model(name)
    if match[2] and revision and match[2] != revision:
        raise UsageError(f"{name} and --revision {revision} name two revisions")
    revision = match[2] or revision or "main"
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError(f"{revision!r} cannot be the name of a branch, tag or commit")
    return match[1], revision


def demo_folder() -> Path:
    """The model that comes with the package."""
    return Path(__file__).parents[1] / "demo"


def _local(name: str) -> Source | None:
    if name == DEMO:
        return Source("demo", DEMO, demo_folder(), None)
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            return Source("folder", name, path, None)
        if not path.exists() and not path.is_symlink():
            return None
    except (OSError, RuntimeError, ValueError):  # no such home folder; a name no path can have
        return None
    if path.suffix == ".safetensors":
        return Source("file", str(path), path.parent, None)
    hint = "llmcli reads folders in Hugging Face format, and single .safetensors files"
    raise InvalidModelError(f"{path}: neither a folder nor a .safetensors file", hint=hint)


def _from_hub(
    repo: str,
    revision: str,
    fetch: Callable[[str, str, float], T],
    offline: bool,
    needed: Callable[[Path], list[str]],
) -> Source | T:
    from huggingface_hub import constants

    cached = hub_cache.find_snapshot(repo, revision)
    missing = needed(cached.folder) if cached is not None else []
    if cached is not None and not missing:
        return Source("hub", repo, cached.folder, cached.commit)
    if offline or constants.HF_HUB_OFFLINE:
        if cached is not None and missing == ["tokenizer.json"]:
            # Models without one exist; whoever needs it will say so.
            return Source("hub", repo, cached.folder, cached.commit)
        at = "" if revision == "main" else f" at revision {revision}"
        what = f"lacks {missing[0]} in the cache" if missing else "is not in the cache"
        raise ModelNotFoundError(
            f"{repo}{at} {what}, and this run is offline",
            hint=f"`llmcli models` lists what is there; online, `llmcli download {repo}` gets it",
        )
    from llmcli.checkpoint.hub import ANSWER_SECONDS

    return fetch(repo, revision, ANSWER_SECONDS)


def _default(
    fetch: Callable[[str, str, float], T],
    offline: bool,
    needed: Callable[[Path], list[str]],
    notice: Callable[[str], None] | None,
) -> Source | T:
    from huggingface_hub import constants

    cached = hub_cache.find_snapshot(DEFAULT_MODEL, "main")
    if cached is not None and not needed(cached.folder):
        return Source("hub", DEFAULT_MODEL, cached.folder, cached.commit)
    try:
        if offline or constants.HF_HUB_OFFLINE:
            raise ModelNotFoundError(f"{DEFAULT_MODEL} is not in the cache and this run is offline")
        return fetch(DEFAULT_MODEL, "main", DEFAULT_MODEL_SECONDS)
    except ModelNotFoundError as error:
        if notice is not None:
            notice(
                f"using the small bundled demo model, since {error}; "
                f"`llmcli download {DEFAULT_MODEL}` gets the real one"
            )
        return Source("demo", DEMO, demo_folder(), None)


def _no_such_model(name: str) -> ModelNotFoundError:
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        return ModelNotFoundError(f"{name}: no such folder")
    if name.endswith((".safetensors", ".gguf", ".bin")):
        return ModelNotFoundError(f"{name}: no such file")
    known = {repo.rpartition("/")[2].lower(): repo for repo in _known_names()}
    close = difflib.get_close_matches(name.rpartition("/")[2].lower(), known, n=1)
    meant = f"; did you mean {known[close[0]]}?" if close else ""
    return ModelNotFoundError(
        f"{name}: neither a folder here nor the name of a model",
        hint=f"MODEL is demo, a folder, or org/name on the hub{meant}",
    )


def _known_names() -> list[str]:
    return [DEMO, DEFAULT_MODEL, *(snapshot.repo for snapshot in hub_cache.snapshots())]
