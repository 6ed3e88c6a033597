"""Tokens for browsers: short-lived, minted for whoever has a key, good for opening WebSockets and nothing else.

A token is its own record: when it ends and with which options its sessions begin, signed with a
secret that this process makes up when it starts and never shows. So nothing is kept, and a token
ends with the process.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

PREFIXES = ("rt_", "ek_")  # what Mistral's and OpenAI's tokens begin with
HEAD = struct.Struct(">d8s")  # when it ends, on this process's clock; something that makes it unique
DIGEST = "sha256"
N_MAC = 32  # bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A token of this process. `session`: the options of the sessions that it opens."""

    session: Mapping[str, Any]
    is_expired: bool


class Tokens:
    """Mints tokens, and knows its own."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives seconds, and never jumps."""
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def mint(self, prefix: str, ttl_s: float, session: Mapping[str, Any]) -> str:
        """A new token, of characters that a subprotocol may have; as long as `session` needs."""
        body = HEAD.pack(self._clock() + ttl_s, secrets.token_bytes(8))
        body += json.dumps(session, separators=(",", ":")).encode() if session else b""
        return prefix + base64.urlsafe_b64encode(body + self._mac(prefix, body)).decode().rstrip("=")

    def read(self, value: bytes) -> Token | None:
        """What a token says; None for whatever this process did not mint."""
        prefix, signed = value[:3].decode("latin-1"), _decoded(value[3:])
        body, mac = signed[:-N_MAC], signed[-N_MAC:]
        if prefix not in PREFIXES or not hmac.compare_digest(self._mac(prefix, body), mac):
            return None
        ends, _ = HEAD.unpack(body[: HEAD.size])
        return Token(json.loads(body[HEAD.size :] or b"{}"), is_expired=self._clock() >= ends)

    def _mac(self, prefix: str, body: bytes) -> bytes:
        return hmac.digest(self._secret, prefix.encode("latin-1") + body, DIGEST)


def _decoded(text: bytes) -> bytes:
    """Base64 without its padding; nothing for what is none."""
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error:
        return b""
