from __future__ import annotations

import sys

import psutil
import pytest

from bench import target
from bench.target import ServerStartError, Target, running, started

SERVER = """
import os, http.server
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.environ["VOXTRAL_MODEL__NAME"] == "x" else 503)
        self.end_headers()
    def log_message(self, *arguments): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["VOXTRAL_SERVER__PORT"])), Ready).serve_forever()
"""


def test_a_server_is_started_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "SERVE", (sys.executable, "-c", SERVER))
    with started({"VOXTRAL_MODEL__NAME": "x"}) as server:
        assert server.url.startswith("ws://127.0.0.1:")
        assert server.pid is not None
        assert running(server.url).pid == server.pid
    assert not psutil.pid_exists(server.pid)


def test_what_a_server_that_did_not_start_said_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "SERVE", (sys.executable, "-c", "import sys; sys.exit('no such model')"))
    with pytest.raises(ServerStartError, match="no such model"), started({}):
        pass


def test_a_server_elsewhere_has_no_process_here() -> None:
    assert running("wss://example.org/ws", key="secret") == Target("wss://example.org/ws", None, "secret")
