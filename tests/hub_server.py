"""A hub on this machine: enough of its HTTP interface for downloads, and every way it can fail.

GET /api/models/ORG/NAME/revision/REV lists files; HEAD and GET /ORG/NAME/resolve/REV/FILE serve
them, ranges included.
"""

import hashlib
import json
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LISTING = "listing"  # the key of `Hub.faults` for the request that lists files


def weights(value: float = 1.0, name: str = "model.embed_tokens.weight") -> bytes:
    """A whole safetensors file with one tensor of six values."""
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    text = json.dumps({name: entry}).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<6f", *[value] * 6)


def small_model(value: float = 1.0) -> dict[str, bytes]:
    """The files of a repository: what is needed, and what must not be fetched."""
    return {
        "config.json": b'{"model_type": "llama"}',
        "tokenizer.json": b'{"version": "1.0"}',
        "model.safetensors": weights(value),
        "pytorch_model.bin": b"\x80\x02never fetched",
        "modeling_evil.py": b"raise SystemExit('executed')",
        "README.md": b"# A model",
        "onnx/model.onnx": b"never fetched",
    }


@dataclass
class Repository:
    commit: str
    files: dict[str, bytes]


@dataclass
class Hub:
    """`faults` maps LISTING or a file's name to what happens instead: an HTTP status, "gated",
    "token", "cut" (always), "cut once", "hang", "hang body", "wrong hash", "wrong size",
    "too long" or "garbage"; of answers to ranges also "no ranges" (the whole file instead), "wrong
    range", "wrong total", "short" (fewer bytes than it says), "drip", "encoded" or "moved" (to
    `elsewhere`). `requests` holds method, path and range of each request, `tokens` the access
    tokens that came with them, `sent` counts bytes of answers."""

    revisions: dict[tuple[str, str], Repository] = field(default_factory=dict)
    faults: dict[str, int | str] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""
    elsewhere: str = ""
    tokens: list[str | None] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> "Hub":
        self._closing = threading.Event()
        self._counting = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Publish files; returns the commit."""
        digest = hashlib.sha1(name.encode())
        for file, data in files.items():
            digest.update(file.encode() + data)
        commit = digest.hexdigest()
        repository = Repository(commit, files)
        self.revisions[name, revision] = self.revisions[name, commit] = repository
        return commit

    def count(self, n_bytes: int) -> None:
        with self._counting:
            self.sent += n_bytes

    def wait_until_closed(self, seconds: float = 120) -> None:
        self._closing.wait(seconds)

    def fetched(self) -> list[str]:
        """The names of the files whose content was asked for, in order."""
        return [
            path.partition("/resolve/")[2].partition("/")[2]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        ]


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        self.hub.tokens.append(self.headers.get("Authorization"))
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._list(name, revision or "main")
        else:
            name, _, rest = path.lstrip("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            self._serve(name, revision, file)

    def _fails(self, key: str) -> bool:
        """Act out the fault of `key`; whether that was the whole answer."""
        fault = self.hub.faults.get(key)
        if isinstance(fault, int):
            self._send(fault, b"{}", {})
        elif fault == "gated":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif fault == "token":
            message = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._send(401, b"{}", message)
        elif fault == "hang":
            self.hub.wait_until_closed()
            self.close_connection = True
        elif fault == "garbage":
            self._send(200, b"<html>a captive portal</html>", {})
        else:
            return False
        return True

    def _list(self, name: str, revision: str) -> None:
        if self._fails(LISTING):
            return
        repository = self.hub.revisions.get((name, revision))
        if repository is None:
            known = any(name == other for other, _ in self.hub.revisions)
            code = "RevisionNotFound" if known else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code})
            return
        siblings = []
        for file, data in repository.files.items():
            sibling: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": "0" * 40}
            if is_large(file):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
            siblings.append(sibling)
        answer = {"id": name, "sha": repository.commit, "siblings": siblings}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _serve(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.revisions.get((name, revision))
        if repository is None or file not in repository.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        if self._fails(file):
            return
        data = repository.files[file]
        digest = hashlib.sha256(data) if is_large(file) else hashlib.sha1(data)
        headers = {
            "ETag": f'"{digest.hexdigest()}"',
            "X-Repo-Commit": repository.commit,
            "Accept-Ranges": "bytes",
        }
        fault = self.hub.faults.get(file)
        if fault == "wrong hash":
            data = data[:-1] + bytes([data[-1] ^ 1])
        elif fault == "wrong size":
            data += b"!"  # consistently, as a broken mirror would
        start, stop, status = 0, len(data), 200
        if (asked := self.headers.get("Range")) and fault != "no ranges":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, status = int(first) + (fault == "wrong range"), 206
            stop = min(int(last) + 1, stop) if last else stop
            total = len(data) + (fault == "wrong total")
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        body = data[start:stop]
        if self._goes_wrong(fault, status, body, headers):
            return
        if fault == "hang body" and self.command == "GET":
            self._send(status, body, headers, send=len(body) // 2)
            self.hub.wait_until_closed()
            self.close_connection = True
            return
        if fault in ("cut", "cut once") and self.command == "GET":
            if fault == "cut once":
                del self.hub.faults[file]
            # "cut" sends nothing at all, so that no attempt makes progress.
            self._send(status, body, headers, send=len(body) // 2 if fault == "cut once" else 0)
            self.close_connection = True
            return
        if fault == "too long" and self.command == "GET":
            self._send_without_end(headers)
            return
        self._send(status, body, headers)

    def _goes_wrong(
        self, fault: int | str | None, status: int, body: bytes, headers: dict[str, str]
    ) -> bool:
        """Act out a fault of answers to ranges; whether that was the whole answer."""
        if fault == "moved":
            target = {"Location": self.hub.elsewhere + self.path}
            self._send(302, b"", target)
        elif fault == "short":
            self._send(status, body[:-1], headers)
        elif fault == "encoded":
            self._send(status, body, headers | {"Content-Encoding": "gzip"})
        elif fault == "drip":
            self._send(status, body, headers, send=0)
            with suppress(OSError):  # the client has waited long enough
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    self.hub.wait_until_closed(0.05)
        else:
            return False
        return True

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], send: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            part = body if send is None else body[:send]
            for start in range(0, len(part), 1 << 14):
                piece = part[start : start + (1 << 14)]
                self.hub.count(len(piece))  # first: the client may be done before this goes on
                try:
                    self.wfile.write(piece)
                except OSError:  # the client has enough
                    self.close_connection = True
                    return

    def _send_without_end(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = bytes(1 << 20)
        try:
            for _ in range(64):
                self.wfile.write(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True


def wait_for_request(hub: Hub, method: str, end: str, process: subprocess.Popen) -> None:
    """Until the process has sent one for what ends so."""
    for _ in range(600):
        assert process.poll() is None, "it ended early"
        if any(sent == method and path.endswith(end) for sent, path, _ in hub.requests):
            return
        time.sleep(0.1)
    raise AssertionError(f"no {method} of {end} arrived")
