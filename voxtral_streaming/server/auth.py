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
from voxtral_streaming.server.credentials import presented
from voxtral_streaming.server.errors import OriginForbidden, Unauthorized
from voxtral_streaming.server.peers import Peers
from voxtral_streaming.server.problems import answer, count
from voxtral_streaming.server.throttle import Throttle
from voxtral_streaming.server.tokens import Token, Tokens

PUBLIC_PATHS = frozenset({"/", "/health/live"})
PUBLIC_FOLDER = "/page/"


class Guard:
    """Lets through who may ask; everyone else hears 401, 403 or 429, before a WebSocket is accepted.

    Decides on `scope["path"]`, which routing uses too, and never on the Host header.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig, tokens: Tokens) -> None:
        self._app = app
        self._hashes = [_hash(key.get_secret_value().encode()) for key in config.api_keys]
        self._tokens = tokens
        self._origins = frozenset(config.allowed_origins)
        self._host = config.host
        self._peers = Peers(config.trusted_proxies)
        self._wrong_keys = Throttle(config.max_wrong_keys_per_minute, "wrong keys")
        self._starts = Throttle(config.max_starts_per_minute, "new connections")

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
        peer = self._peers.of(scope)
        if scope["type"] == "websocket":
            self._starts.check(peer)
            self._starts.count(peer)
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and not self._is_own(origin, headers, scope):
            raise OriginForbidden("web pages of this origin may not use this server", param="origin")
        self._check_credentials(peer, scope)

    def _check_credentials(self, peer: str, scope: Scope) -> None:
        """Let keys pass everywhere, and tokens into WebSockets."""
        given = presented(scope)
        token = next(filter(None, map(self._tokens.read, given)), None)
        if token is not None and not token.is_expired and scope["type"] == "websocket":
            scope.setdefault("state", {})["session"] = token.session
        elif self._hashes:
            self._check_keys(peer, given, token)

    def _check_keys(self, peer: str, keys: list[bytes], token: Token | None) -> None:
        """Raise `Unauthorized`, or `TooManyRequests` where the peer has guessed too often, right or wrong this time."""
        self._wrong_keys.check(peer)
        if self._knows(keys):
            return
        if token is not None:
            raise Unauthorized("a token opens WebSockets, until it expires; mint a new one", param="authorization")
        if keys:
            self._wrong_keys.count(peer)
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


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


async def _refuse(error: VoxtralError, scope: Scope, receive: Receive, send: Send) -> None:
    count(scope["app"], error.code)
    response = answer(error, {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else None)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
