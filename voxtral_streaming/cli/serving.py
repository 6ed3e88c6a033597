"""`voxtral serve`."""

from __future__ import annotations

import sys

from voxtral_streaming.cli.memory import share_one_heap
from voxtral_streaming.config import Config, ServerConfig
from voxtral_streaming.engines import explain
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.server.run import serve


def run(config: Config) -> None:
    """Serve until told to stop; say where once the engine is ready."""
    share_one_heap()
    set_up_logging(config.logging)

    def announce() -> None:
        sys.stderr.write(f"voxtral: ready on {address(config.server)} ({explain(config)})\n")
        sys.stderr.flush()

    serve(config, on_ready=announce)


def address(server: ServerConfig) -> str:
    """Where the page is, as a browser wants it."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'https' if server.tls_cert else 'http'}://{host}:{server.port}"
