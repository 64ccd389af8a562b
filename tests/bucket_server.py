"""An S3 server on loopback whose days are good and bad, for tests of stores in buckets."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import fsspec
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
ERROR = b"<Error><Code>InternalError</Code><Message>We have an internal error</Message></Error>"
Environ = dict[str, Any]


class Request(NamedTuple):
    """What was asked for."""

    method: str
    key: str
    query: str


class BucketServer:
    """Moto behind a gate that may refuse or delay requests, and remembers them."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.numbers = random.Random(0)
        self.lock = threading.Lock()
        self.calm()
        self.forget()

    def calm(self) -> None:
        """Answer everything at once."""
        self.failing = 0.0  # share of requests answered with 500, half of them after they were done
        self.slow_seconds = 0.0  # of each put
        self.refused: Callable[[Request], bool] = lambda request: False

    def forget(self) -> None:
        """Count from here."""
        self.requests: list[Request] = []
        self.sent_bytes: dict[str, int] = {}  # by key

    def asked(self, method: str, key: str = "") -> int:
        """Return how often keys that hold this text were asked for."""
        return sum(one.method == method and key in one.key for one in self.requests)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].removeprefix(f"/{BUCKET}").lstrip("/")
        request = Request(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"])
        with self.lock:
            self.requests.append(request)
            fails, done = self.numbers.random() < self.failing, self.numbers.random() < 0.5
        if request.method == "PUT":
            time.sleep(self.slow_seconds)
        if self.refused(request) or (fails and not done):
            size = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(size // 2)  # the other half never arrives
            return _error(start_response)
        with self.lock:  # moto (5.2) reads a key of two requests at once through one file
            answer = b"".join(self.app(environ, _Ignored() if fails else start_response))
        if fails:
            return _error(start_response)
        with self.lock:
            self.sent_bytes[path] = self.sent_bytes.get(path, 0) + len(answer)
        return [answer]


class _Ignored:
    """Takes the head of an answer that is lost on its way."""

    def __call__(self, *_: Any) -> Callable[[bytes], object]:
        return lambda content: None


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


def _error(start_response: Callable[..., Any]) -> list[bytes]:
    head = [("Content-Type", "application/xml"), ("Connection", "close")]
    start_response("500 Internal Server Error", head)
    return [ERROR]


@contextmanager
def serve() -> Iterator[BucketServer]:
    """Run a server with an empty bucket; the environment names it, also for processes to come."""
    from bakeoff.platform.store.bucket import filesystem

    server = BucketServer()
    http = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    before = dict(os.environ)
    os.environ |= CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{http.server_port}"}
    filesystem.cache_clear()
    try:
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        yield server
    finally:
        http.shutdown()
        http.server_close()
        os.environ.clear()
        os.environ.update(before)
        filesystem.cache_clear()
