"""The server's certificate, which may be exchanged while connections are open."""

from __future__ import annotations

import ssl
from pathlib import Path

from voxtral_streaming.errors import ConfigError, ConfigProblem

NO_PASSWORD = ""  # without one, OpenSSL would ask on the terminal


class Certificate:
    """A certificate chain and its key; `context` is for the listening socket, and stays the same when they change."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read both files; raises `ConfigError`."""
        self._chain = chain
        self._key = key
        self.context = self._read()

    def reload(self) -> None:
        """Read both files again, for the connections to come; raises `ConfigError` and changes nothing."""
        self._read()  # a pair that does not match would leave the context with half of it
        self.context.load_cert_chain(self._chain, self._key, NO_PASSWORD)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._chain, self._key, NO_PASSWORD)
        except OSError as error:
            why = (isinstance(error, ssl.SSLError) and error.reason) or error.strerror or "unusable"
            problem = ConfigProblem("server.tls_cert", f"{self._chain}, {self._key}: {why}", "a PEM chain and its key")
            raise ConfigError("TLS", [problem]) from error
        return context
