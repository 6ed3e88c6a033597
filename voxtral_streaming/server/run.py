"""Runs the server: uvicorn, with bounds of its own, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import anyio
import uvicorn
from fastapi import FastAPI

from voxtral_streaming.config import Config, ServerConfig, is_loopback
from voxtral_streaming.errors import ConfigError
from voxtral_streaming.server.accepting import AcceptErrors
from voxtral_streaming.server.app import create_app, lifespan
from voxtral_streaming.server.limits import (
    HEADER_TIMEOUT_S,
    MAX_FRAME_BYTES,
    PING_INTERVAL_S,
    PING_TIMEOUT_S,
    SHUTDOWN_TIMEOUT_S,
)
from voxtral_streaming.server.protocols import HttpProtocol, WebSocketProtocol
from voxtral_streaming.server.service import Service
from voxtral_streaming.server.tls import Certificate
from voxtral_streaming.server.wyoming import listening
from voxtral_streaming.transcriber import Transcriber

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_FORCED = 1

logger = logging.getLogger(__name__)


def serve(
    config: Config, transcriber: Transcriber | None = None, *, on_ready: Callable[[], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then drain: whoever speaks gets his finals.

    The address is bound before the model is loaded; raises OSError where that fails, ConfigError
    for a certificate that cannot be used, and what loading raises. `on_ready` is called when the
    model is loaded and the server listens. A second signal, or sessions that do not end within
    `server.drain_s`, end the process at once, with exit status 1.
    """
    certificate = open_certificate(config.server)
    with ExitStack() as listeners:
        listener = listeners.enter_context(bind(config.server.host, config.server.port))
        wyoming = bind_wyoming(config.server)
        if wyoming is not None:
            listeners.enter_context(wyoming)
        asyncio.run(_serve(config, transcriber or Transcriber(config), listener, wyoming, certificate, on_ready))


async def _serve(
    config: Config,
    transcriber: Transcriber,
    listener: socket.socket,
    wyoming: socket.socket | None,
    certificate: Certificate | None,
    on_ready: Callable[[], None] | None,
) -> None:
    app = create_app(config, transcriber)
    server = Server(app, config.server, certificate, on_ready)
    door = nullcontext() if wyoming is None else listening(wyoming, app.state.service)
    async with lifespan(app), door:
        with server.told_by_signals():
            await server.serve([listener])
        if not server.is_drained:
            logger.error("ended before every session was finished")
            logging.shutdown()
            os._exit(EXIT_FORCED)  # an engine that hangs would hold the process


def open_certificate(config: ServerConfig) -> Certificate | None:
    """The configured certificate, or None for plain HTTP; raises ConfigError. Warns of keys that cross a network."""
    if config.tls_cert is not None and config.tls_key is not None:
        return Certificate(config.tls_cert, config.tls_key)
    if not (is_loopback(config.host) or config.trusted_proxies):
        logger.warning("without `server.tls_cert` audio, text and keys cross the network for everyone to read")
    return None


def bind_wyoming(config: ServerConfig) -> socket.socket | None:
    """A socket for Wyoming where it is configured; warns where it is open to the network."""
    if config.wyoming_port is None:
        return None
    if not is_loopback(config.wyoming_host):
        logger.warning("Wyoming knows no keys: port %d is open to whoever reaches it", config.wyoming_port)
    return bind(config.wyoming_host, config.wyoming_port)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, not yet listening; raises OSError, which names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from error
    return listener


class Server(uvicorn.Server):
    """uvicorn, which by itself would cut every WebSocket off when it is told to stop."""

    def __init__(
        self,
        app: FastAPI,
        config: ServerConfig,
        certificate: Certificate | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=WebSocketProtocol,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=PING_INTERVAL_S,
                ws_ping_timeout=PING_TIMEOUT_S,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            )
        )
        self._service: Service = app.state.service
        self._certificate = certificate
        self._drain_s = config.drain_s
        self._on_ready = on_ready
        self._draining: asyncio.Task[None] | None = None
        self.is_drained = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets; uvicorn itself would let a TLS handshake take a minute."""
        tls = None if self._certificate is None else self._certificate.context
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(AcceptErrors())
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=tls,
                ssl_handshake_timeout=HEADER_TIMEOUT_S if tls else None,
                backlog=self.config.backlog,
            )
            for listener in sockets or ()
        ]
        self.started = True
        logger.info("listening on port %d", self.servers[0].sockets[0].getsockname()[1])
        if self._on_ready is not None:
            self._on_ready()

    def _protocol(self) -> asyncio.Protocol:
        """What speaks on a new connection."""
        return HttpProtocol(config=self.config, server_state=self.server_state, app_state={})

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `told_by_signals`."""
        yield

    @contextmanager
    def told_by_signals(self) -> Iterator[None]:
        """Stop in order at the first signal, and at once at the second; read the certificate again at SIGHUP."""
        answers = dict.fromkeys(STOP_SIGNALS, self.stop)
        if self._certificate is not None:
            answers[signal.SIGHUP] = self.reload
        loop = asyncio.get_running_loop()
        for number, answer in answers.items():
            loop.add_signal_handler(number, answer)
        try:
            yield
        finally:
            for number in answers:
                loop.remove_signal_handler(number)

    def reload(self) -> None:
        """Use what now is in the files of the certificate; if that is of no use, say so and go on with the old one."""
        if self._certificate is None:
            return
        try:
            self._certificate.reload()
        except ConfigError as error:
            logger.error("the old certificate stays: %s", error)
        else:
            logger.info("the certificate was read again")

    def stop(self) -> None:
        """Begin to drain; called again, end at once."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        else:
            self._draining.cancel()
            self.force_exit = self.should_exit = True

    async def _drain(self) -> None:
        logger.info("stopping: open sessions have %g s to finish", self._drain_s)
        with anyio.move_on_after(self._drain_s):
            await self._service.drain()
            self.is_drained = True
        self.should_exit = True
