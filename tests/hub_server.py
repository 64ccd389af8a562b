"""A Hugging Face hub on loopback: repositories of a commit each, and what can go wrong with one."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".pt", ".pth", ".ckpt")  # kept outside git, known by their sha256


@dataclass
class Hub:
    """Repositories by name, each with its files; and what is asked and done wrong.

    `cut` breaks the connection once after so many bytes of a file, `corrupt` serves others of the
    same number, `held` is waited for before a file's first byte, `refusals` answers a repository's
    requests with a status and the hub's code for the reason.
    """

    repositories: dict[str, dict[str, bytes]]
    commit: str = "c" * 40
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    held: dict[str, threading.Event] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # file, range
    revisions: list[str] = field(default_factory=list)  # asked for

    def downloads(self, name: str) -> list[str]:
        """Return the range of each time that a file's content was asked for."""
        return [asked for file, asked in self.asked if file == name]


def hash_of(name: str, content: bytes) -> str:
    """Return the hash that a hub knows a file by."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """Serve repositories as long as the context lasts."""
    hub = Hub(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_content=False)

        def do_GET(self) -> None:
            self.answer(with_content=True)

        def answer(self, *, with_content: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                if self.is_let_in(asked[1]):
                    hub.revisions.append(asked[2] or "main")
                    self.tell(asked[1])
            elif asked := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                if self.is_let_in(asked[1]):
                    self.send(asked[1], asked[3], with_content=with_content)
            else:
                self.send_error(404)

        def is_let_in(self, repository: str) -> bool:
            status, code = hub.refusals.get(repository, (200, ""))
            if repository not in hub.repositories:
                status, code = 401, "RepoNotFound"
            if status != 200:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()
            return status == 200

        def tell(self, repository: str) -> None:
            siblings = []
            for name, content in hub.repositories[repository].items():
                told = {"rfilename": name, "size": len(content), "blobId": hash_of("", content)}
                if name.endswith(LARGE):
                    sha256 = hash_of(name, content)
                    told["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
                siblings.append(told)
            answer = {"id": repository, "sha": hub.commit, "siblings": siblings, "private": False}
            body = json.dumps({**answer, "downloads": 0, "tags": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send(self, repository: str, name: str, *, with_content: bool) -> None:
            content = hub.repositories[repository][name]
            etag = hash_of(name, content)
            if name in hub.corrupt:
                content = bytes(byte ^ 1 for byte in content)
            wanted = self.headers.get("Range", "")
            start = int(wanted.removeprefix("bytes=").partition("-")[0] or 0) if wanted else 0
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("ETag", f'"{etag}"')
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                place = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", place)
            self.end_headers()
            if with_content:
                hub.asked.append((name, wanted))
                if name in hub.held:
                    hub.held[name].wait(60)
                part = content[start:]
                broken = hub.cut.pop(name, None)
                self.wfile.write(part if broken is None else part[:broken])
                if broken is not None:
                    self.wfile.flush()
                    self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        for event in hub.held.values():
            event.set()
        server.shutdown()
        server.server_close()
