"""`voxtral serve`."""

from __future__ import annotations

import sys

from voxtral_streaming.cli.memory import share_one_heap
from voxtral_streaming.config import Config
from voxtral_streaming.engines import explain
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.server.run import serve


def run(config: Config) -> None:
    """Serve until told to stop; say where once the engine is ready."""
    share_one_heap()
    set_up_logging(config.logging)

    def announce() -> None:
        host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
        sys.stderr.write(f"voxtral: ready on http://{host}:{config.server.port} ({explain(config)})\n")
        sys.stderr.flush()

    serve(config, on_ready=announce)
