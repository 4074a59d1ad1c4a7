"""A proxy between a client and an HTTP server, which does to each request what a test says.

with Between("http://127.0.0.1:5000") as between:
    between.behave = lambda request: DROP if request.path.endswith("/runs/log-batch") else FORWARD
    client = connect(between.address)

What a network, a dying server, or a proxy before it does, at a moment that a test chooses: no clock decides.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    method: str
    path: str
    """Without what is behind the question mark."""
    body: bytes


@dataclass(frozen=True)
class Behaviour:
    """What becomes of a request.

    Attributes:
        arrives: whether the server gets it.
        is_answered: whether the client gets an answer; else the connection ends without one.
        seconds: before the client gets it.
        status: of an answer that is not the server's; 0 for the server's own.
        said: its body.
    """

    arrives: bool = True
    is_answered: bool = True
    seconds: float = 0.0
    status: int = 0
    said: bytes = b""


FORWARD: Final = Behaviour()
DROP: Final = Behaviour(arrives=False, is_answered=False)
"""As a server that is not there: the connection ends without an answer."""
LOSE_THE_ANSWER: Final = Behaviour(is_answered=False)
"""As a server that dies after its work: what was asked is done, and the client is not told."""


def late(seconds: float) -> Behaviour:
    """The server's answer, so much later."""
    return Behaviour(seconds=seconds)


def answer(status: int, said: bytes = b"") -> Behaviour:
    """An answer in the server's place; it hears nothing."""
    return Behaviour(arrives=False, status=status, said=said)


@dataclass
class Between:
    """The proxy.

    Attributes:
        server: the address it passes requests on to.
        behave: what becomes of a request; may be replaced at any time.
        seen: every request, in the order of their coming.
    """

    server: str
    behave: Callable[[Request], Behaviour] = lambda _: FORWARD
    seen: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        parts = urlsplit(self.server)
        between = self

        class Handler(BaseHTTPRequestHandler):
            def pass_on(self) -> None:
                asked = Request(
                    self.command,
                    self.path.partition("?")[0],
                    self.rfile.read(int(self.headers.get("Content-Length", 0))),
                )
                between.seen.append(asked)
                behaviour = between.behave(asked)
                status, headers, body = behaviour.status, [], behaviour.said
                if behaviour.arrives:
                    there = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
                    there.request(self.command, self.path, asked.body, dict(self.headers))
                    answered = there.getresponse()
                    status, headers, body = answered.status, answered.getheaders(), answered.read()
                    there.close()
                time.sleep(behaviour.seconds)
                if not behaviour.is_answered:
                    return
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, ending: str) -> int:
        """How many requests there were to paths that end so."""
        return sum(request.path.endswith(ending) for request in self.seen)
