"""`voxtral serve`."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from voxtral_streaming.config import Config, ServerConfig
from voxtral_streaming.engines import explain
from voxtral_streaming.engines.isolated import launched
from voxtral_streaming.logs import set_up_logging
from voxtral_streaming.memory import hold_little


def run(config: Config) -> None:
    """Serve until told to stop; say where once the engine is ready."""
    hold_little()
    set_up_logging(config.logging)

    with launched(config) if config.model.isolation == "process" else nullcontext() as isolated:
        from voxtral_streaming.server.run import serve  # takes half a second, in which the engine is being loaded
        from voxtral_streaming.transcriber import Transcriber

        def announce() -> None:
            explanation = explain(config) if isolated is None else f"{isolated.explanation}, in a process of its own"
            sys.stderr.write(f"voxtral: ready on {address(config.server)} ({explanation})\n")
            sys.stderr.flush()

        serve(config, Transcriber(config, engine=isolated), on_ready=announce)


def address(server: ServerConfig) -> str:
    """Where the page is, as a browser wants it."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{'https' if server.tls_cert else 'http'}://{host}:{server.port}"
