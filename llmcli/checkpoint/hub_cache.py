"""The hub's own cache on disk: which snapshot a revision means, and whether all of it is there.

It knows nothing of the network. The layout is the documented one, shared with every other tool:
CACHE/models--ORG--NAME/refs/REVISION holds a commit, snapshots/COMMIT/ the files as links to blobs.
https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmcli.checkpoint.headers import INDEX, WEIGHTS, read_index
from llmcli.errors import InvalidModelError

COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Snapshot:
    """One revision of one model in the cache; it may be incomplete (see `lacking`)."""

    repo: str
    commit: str
    folder: Path
    revisions: tuple[str, ...]


def cache_folder() -> Path:
    """Where the hub's cache is, as HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME say."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def find_snapshot(repo: str, revision: str) -> Snapshot | None:
    """The snapshot that `revision` (branch, tag or commit) named when it was last downloaded."""
    root = _repo_folder(repo)
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            commit = (root / "refs" / revision).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
    folder = root / "snapshots" / commit
    if not COMMIT.fullmatch(commit) or not folder.is_dir():
        return None
    return Snapshot(repo, commit, folder, (revision,))


def record_revision(repo: str, revision: str, commit: str) -> None:
    """Let `revision` name `commit` from now on: done last, when every file is there and checked."""
    if revision == commit:
        return
    ref = _repo_folder(repo) / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, for another process may read it at any time.
    new = ref.with_name(f"{ref.name}.{os.getpid()}.tmp")
    new.write_text(commit, "ascii")
    new.replace(ref)


def lacking(folder: Path) -> list[str]:
    """The files without which a folder is no whole model; empty when all are there.

    The shards are those that the index lists. Only presence counts here: whoever reads a file
    checks it.
    """
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if (folder / WEIGHTS).is_file():
        return missing
    if not (folder / INDEX).is_file():
        return [*missing, WEIGHTS]
    try:
        shards = sorted(set(read_index(folder / INDEX).values()))
    except InvalidModelError:
        return missing
    return missing + [shard for shard in shards if not (folder / shard).is_file()]


def snapshots() -> Iterator[Snapshot]:
    """Every model snapshot in the cache, by name, each with the revisions that mean it."""
    for root in _entries(cache_folder()):
        kind, *parts = root.name.split("--")
        if kind != "models" or not parts:
            continue
        revisions = _revisions(root / "refs")
        for folder in _entries(root / "snapshots"):
            commit = folder.name
            if folder.is_dir():
                yield Snapshot("/".join(parts), commit, folder, tuple(revisions.get(commit, ())))


def _revisions(refs: Path) -> dict[str, list[str]]:
    """Commit -> the branches and tags that mean it."""
    revisions: dict[str, list[str]] = {}
    for ref in sorted(refs.rglob("*")):
        try:
            if ref.is_file() and ref.suffix != ".tmp":
                commit = ref.read_text("ascii").strip()
                revisions.setdefault(commit, []).append(ref.relative_to(refs).as_posix())
        except (OSError, ValueError):  # a reference that cannot be read names nothing
            continue
    return revisions


def _repo_folder(repo: str) -> Path:
    return cache_folder() / "--".join(["models", *repo.split("/")])


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
