"""Who may ask: keys and origins, checked before anything else, over HTTP and WebSockets alike."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from voxtral_streaming.config import ServerConfig
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.errors import OriginForbidden, Unauthorized
from voxtral_streaming.server.problems import answer, count

PUBLIC_PATHS = frozenset({"/", "/health/live"})
PUBLIC_FOLDER = "/page/"
SCHEMES = frozenset({"bearer", "token"})  # the second is Deepgram's
SUBPROTOCOL_PREFIX = "bearer."  # how a browser, which cannot set headers, presents its key
SUBPROTOCOL_BEFORE_KEY = frozenset({"token", "bearer"})  # how Deepgram's browsers do: this, then the bare key


class Guard:
    """Lets through who may ask; everyone else hears 401 or 403, before a WebSocket is accepted.

    Decides on `scope["path"]`, which routing uses too, and never on the Host header.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        self._hashes = [_hash(key.get_secret_value().encode()) for key in config.api_keys]
        self._origins = frozenset(config.allowed_origins)
        self._host = config.host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] in ("http", "websocket") and not _is_public(scope["path"]):
            try:
                self._check(Headers(scope=scope), scope)
            except VoxtralError as error:
                await _refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, scope: Scope) -> None:
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and not self._is_own(origin, headers, scope):
            raise OriginForbidden("web pages of this origin may not use this server", param="origin")
        if self._hashes and not self._knows(_presented(headers, scope)):
            raise Unauthorized("a key is needed: `Authorization: Bearer KEY`", param="authorization")

    def _is_own(self, origin: str, headers: Headers, scope: Scope) -> bool:
        """Whether the page is this server's own.

        A page of any site can make its name resolve to this machine (DNS rebinding). Where no key
        is asked for, only names that nobody else can own count.
        """
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        is_same = origin.lower() == f"{scheme}://{headers.get('host', '').lower()}"
        return is_same and (bool(self._hashes) or self._is_ours_alone(origin))

    def _is_ours_alone(self, origin: str) -> bool:
        try:
            host = urlsplit(origin).hostname or ""
            return host in ("localhost", self._host.lower()) or bool(ipaddress.ip_address(host))
        except ValueError:
            return False

    def _knows(self, keys: list[bytes]) -> bool:
        """Whether one of `keys` is right; takes the same time wherever a wrong one differs."""
        hashes = [_hash(key) for key in keys]
        return any([hmac.compare_digest(known, asked) for known in self._hashes for asked in hashes])  # noqa: C419


def _is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDER)


def _presented(headers: Headers, scope: Scope) -> list[bytes]:
    """The keys that a client presents."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    keys = [key] if scheme.lower() in SCHEMES else []
    keys += _offered(scope.get("subprotocols", []))
    return [key.encode("latin-1", "replace") for key in keys[:2]]


def _offered(subprotocols: list[str]) -> list[str]:
    """The keys among the subprotocols of a WebSocket."""
    match subprotocols:
        case [word, key] if word.lower() in SUBPROTOCOL_BEFORE_KEY:
            return [key]
        case _:
            prefixed = [name for name in subprotocols if name.startswith(SUBPROTOCOL_PREFIX)]
            return [name.removeprefix(SUBPROTOCOL_PREFIX) for name in prefixed]


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


async def _refuse(error: VoxtralError, scope: Scope, receive: Receive, send: Send) -> None:
    count(scope["app"], error.code)
    response = answer(error, {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else None)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
