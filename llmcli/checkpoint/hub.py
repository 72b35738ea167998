"""The hub: which files a model has there, and fetching those that are needed, checked.

It knows nothing of what the files mean, and nothing of how progress is shown. huggingface_hub does
the transfers, locks and cache; what it does not do is done here: the SHA-256 of each large file is
compared with what the hub declares, room on the disk is checked first, every wait for a first
answer has an end, and a revision is recorded in the cache only when all of it is there.
"""

import fnmatch
import hashlib
import json
import logging
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from llmcli.checkpoint.headers import INDEX, WEIGHTS, read_index
from llmcli.checkpoint.hub_cache import COMMIT, cache_folder, record_revision
from llmcli.checkpoint.hub_errors import explained
from llmcli.checkpoint.hub_http import Traffic, bounded, listing_url, read_whole
from llmcli.errors import InvalidModelError, ModelNotFoundError

# Beside the weights, everything that llmcli reads. Code (*.py) is never fetched, nor are pickles.
NEEDED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
ANSWER_SECONDS = 20.0
MAX_LISTING_BYTES = 64 * 1024 * 1024


class Progress(Protocol):
    """Who wants to know how a download goes. Files are fetched one after the other."""

    def start(self, model: str, sizes: Mapping[str, int]) -> None:
        """These files of the model will be there in the end; sizes in bytes."""

    def at(self, name: str, n_bytes: int) -> None:
        """So much of the file is there."""

    def finish(self, name: str) -> None:
        """The file is there and checked."""

    def note(self, text: str) -> None:
        """Why nothing happens for a while."""


@dataclass(frozen=True)
class RemoteFile:
    """One file as the hub declares it; `size` in bytes, `sha256` where it gives one."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """The files of one model at one commit."""

    repo: str
    revision: str
    commit: str
    files: Mapping[str, RemoteFile]


@dataclass(frozen=True)
class Download:
    """What `download` left on the disk."""

    folder: Path
    commit: str
    files: tuple[RemoteFile, ...]


def list_files(
    repo: str, revision: str, *, within: float = ANSWER_SECONDS, traffic: Traffic | None = None
) -> Listing:
    """Ask the hub, in one request, what files a model has; `within` bounds the wait in seconds,
    whatever hangs. Raises ModelNotFoundError."""
    from huggingface_hub import constants

    _route_log(None)
    counted, seconds = traffic or Traffic(), min(within, constants.HF_HUB_ETAG_TIMEOUT)
    with explained(repo, revision):
        url = listing_url(repo, revision)
        text = bounded(lambda: read_whole(url, MAX_LISTING_BYTES, counted, seconds=seconds), within)
        answer = json.loads(text)
        if not isinstance(answer, dict) or not isinstance(answer.get("siblings"), list):
            raise ValueError("the answer lists no files")
        commit = answer.get("sha")
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise ValueError("the answer names no commit")
        files = [_remote_file(sibling) for sibling in answer["siblings"]]
        return Listing(repo, revision, commit, {f.name: f for f in files if f is not None})


def download(
    listing: Listing,
    *,
    local_dir: Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Download:
    """Fetch what is needed to run a model, or the files that `include` globs match.

    Files that are there already are checked and kept; damaged ones are fetched anew. Goes into the
    hub's cache, or `local_dir`. Raises ModelNotFoundError when the hub, the network or the disk
    fails, InvalidModelError when the model has no weights that llmcli reads.
    """
    if include:
        names = [name for name in listing.files if _matches(name, include)]
    else:
        names = _needed(listing, local_dir)
    files = [listing.files[name] for name in names if not _matches(name, exclude)]
    if not files:
        raise ModelNotFoundError(f"{listing.repo}: none of its files was asked for")
    with explained(listing.repo, listing.revision):
        _check_room(listing, files, local_dir)
        if progress is not None:
            progress.start(listing.repo, {file.name: file.size for file in files})
        for file in files:
            path = fetch(listing, file, local_dir, progress)
            if progress is not None:
                progress.finish(file.name)
        if local_dir is None:
            record_revision(listing.repo, listing.revision, listing.commit)
    folder = local_dir or path.parents[len(PurePosixPath(file.name).parts) - 1]
    return Download(folder, listing.commit, tuple(files))


def fetch(
    listing: Listing,
    file: RemoteFile,
    local_dir: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """One file, from the disk if it is there and whole, else from the hub. Raises as `download`."""
    from huggingface_hub import hf_hub_download

    _route_log(progress)
    with explained(listing.repo, listing.revision), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is checked here, or of no concern
        for _ in range(2):
            path = Path(
                hf_hub_download(
                    listing.repo,
                    file.name,
                    revision=listing.commit,
                    local_dir=local_dir,
                    tqdm_class=_bar(file, progress),
                )
            )
            fault = _fault(path, file)
            if fault is None:
                return path
            # Damaged: on this disk, or on the way. Either way it must not stay.
            _discard(path)
        raise ModelNotFoundError(
            f"{listing.repo}: {file.name} {fault}: damaged on the way or on the hub",
            hint="try again; nothing of this file was kept",
        )


def _needed(listing: Listing, local_dir: Path | None) -> list[str]:
    names = [name for name in NEEDED if name in listing.files]
    if WEIGHTS in listing.files:
        return [*names, WEIGHTS]
    if INDEX not in listing.files:
        raise no_weights(listing)
    weight_map = read_index(fetch(listing, listing.files[INDEX], local_dir))
    return [*names, INDEX, *listed_shards(listing, weight_map)]


def no_weights(listing: Listing) -> InvalidModelError:
    """That the model has no file of weights which llmcli reads, and what it has instead."""
    others = [name for name in listing.files if name.endswith((".safetensors", ".bin", ".gguf"))]
    what = f"it has {others[0][:80]}" if others else "it has no weights at all"
    return InvalidModelError(
        f"{listing.repo}: neither {WEIGHTS} nor {INDEX} is there ({what})",
        hint="look for a version of the model in safetensors format",
    )


def listed_shards(listing: Listing, weight_map: Mapping[str, str]) -> list[str]:
    """The shards that an index names. Raises InvalidModelError where one is not on the hub."""
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if shard not in listing.files:
            raise InvalidModelError(f"{listing.repo}: {INDEX} lists {shard}, which is not there")
    return shards


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def _remote_file(sibling: dict[str, Any]) -> RemoteFile | None:
    """One entry of the hub's answer; None if its name is no plain relative path."""
    name = sibling["rfilename"]
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or re.search(r"^/|[\\:\x00-\x1f]", name):
        return None
    large = sibling.get("lfs") or {}
    size, sha256 = large.get("size", sibling.get("size")), large.get("sha256")
    if type(size) is not int or size < 0:
        raise ValueError(f"the answer gives no size for {name[:80]}")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"the answer gives an odd SHA-256 for {name[:80]}")
    return RemoteFile(name, size, sha256)


def _check_room(listing: Listing, files: Sequence[RemoteFile], local_dir: Path | None) -> None:
    cache = cache_folder()
    target = local_dir
    if target is None:
        repo = "--".join(["models", *listing.repo.split("/")])
        target = cache / repo / "snapshots" / listing.commit
    needed = sum(file.size for file in files if not (target / file.name).is_file())
    place = target.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ModelNotFoundError(
            f"{listing.repo} needs {needed / 2**30:,.2f} GiB more on the disk of {place}, "
            f"which has {free / 2**30:,.2f} GiB free",
            hint="make room, or set HF_HOME (or --local-dir) to a folder on another disk",
        )


def _fault(path: Path, file: RemoteFile) -> str | None:
    """What is wrong with a fetched file, or None."""
    size = path.stat().st_size
    if size != file.size:
        return f"is {size:,} bytes long, not {file.size:,} as declared"
    if file.sha256 is not None:
        with path.open("rb") as data:
            if hashlib.file_digest(data, "sha256").hexdigest() != file.sha256:
                return "does not have the declared SHA-256"
    return None


def _discard(path: Path) -> None:
    """Remove a damaged file; of the cache, the blob that the snapshot's link leads to as well."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    if blob.is_relative_to(cache_folder().resolve()):
        blob.unlink(missing_ok=True)


def _route_log(progress: Progress | None) -> None:
    """Keep the library's own words off the terminal, but pass on why it waits: it may wait long
    when a server asks it to."""

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage().partition("\n")[0]
            if progress is not None and text.startswith(
                ("Rate limited", "Retrying", "Error while")
            ):
                progress.note(text)

    logging.getLogger("huggingface_hub").handlers = [Waits()]


def _bar(file: RemoteFile, progress: Progress | None) -> type:
    """What huggingface_hub takes for a tqdm class and tells of the bytes of this one file."""

    class Bar:
        def __init__(self, *_: Any, initial: int = 0, total: int | None = None, **__: Any) -> None:
            self.n = initial
            self.total = total

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            if self.n > file.size:  # a server could fill the disk
                raise ModelNotFoundError(f"{file.name}: more bytes arrive than the hub declared")
            if progress is not None:
                progress.at(file.name, self.n)

        # Bytes on the wire and rates: told for files that arrive in compressed pieces.
        def update_transfer(self, n: float | None = 1) -> None:
            pass

        def set_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

        set_transfer_postfix_str = set_postfix_str

        def close(self) -> None:
            pass

    return Bar
