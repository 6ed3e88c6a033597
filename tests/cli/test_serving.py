"""`voxtral serve`: how it says that it is ready, and how it fails."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from voxtral_streaming.cli.serving import address
from voxtral_streaming.config import ServerConfig


def test_it_says_where_it_is_once_it_can_be_reached(start: Any, port: int, tmp_path: Path) -> None:
    command = start("serve", "--port", str(port))
    log: list[str] = []
    while not (log and log[-1].startswith("voxtral: ready on")):
        log.append(command.stderr.readline().decode())
        assert log[-1], "the server ended"
    assert log[-1].startswith(f"voxtral: ready on http://127.0.0.1:{port} (whisper")
    assert httpx.get(f"http://127.0.0.1:{port}/health/ready", verify=False).status_code == 200
    assert len(psutil.Process(command.pid).children()) == 1  # the engine: nothing was decoded yet
    command.send_signal(signal.SIGTERM)
    out, err = command.communicate(timeout=20)
    assert (command.returncode, out) == (0, b"")
    assert b"Traceback" not in err
    assert "listening on port" in (tmp_path / "logs" / "voxtral_streaming.log").read_text()


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_the_address_is_one_for_a_browser(host: str, shown: str) -> None:
    assert address(ServerConfig(host=host, port=7000)) == f"http://{shown}:7000"


def test_an_address_that_is_taken(voxtral: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = voxtral("serve", "--port", str(port))
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == f"voxtral: 127.0.0.1:{port}: Address already in use\n"


def test_weights_that_are_missing(voxtral: Any, port: int) -> None:
    result = voxtral("serve", "--port", str(port), "--model", "nobody/nothing")
    assert (result.returncode, result.stdout) == (3, b"")
    assert "voxtral: 'nobody/nothing' is neither a built-in model" in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()
