"""What a client presents to be let in, in the ways of all dialects.

Headers can be set by programs. A browser cannot set those of a WebSocket and offers its key among
the subprotocols, each dialect in its own way; the server chooses none of these, so no key is sent back.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from voxtral_streaming.server.tokens import PREFIXES as TOKEN_PREFIXES

SCHEMES = frozenset({"bearer", "token"})  # of `Authorization`; the second is Deepgram's
KEY_PREFIXES = ("bearer.", "openai-insecure-api-key.")  # of subprotocols: ours, OpenAI's
WORDS_BEFORE_KEY = frozenset({"token", "bearer"})  # Deepgram's two subprotocols are one of these and the bare key
MAX_CREDENTIALS = 2  # of one request; more are not looked at


def presented(scope: Scope) -> list[bytes]:
    """The keys and tokens of a request, at most `MAX_CREDENTIALS`."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    found = [key] if scheme.lower() in SCHEMES else []
    found += _offered(scope.get("subprotocols", []))
    return [credential.encode("latin-1", "replace") for credential in found[:MAX_CREDENTIALS]]


def _offered(subprotocols: Sequence[str]) -> list[str]:
    """The keys and tokens among the subprotocols of a WebSocket."""
    match subprotocols:
        case [word, key] if word.lower() in WORDS_BEFORE_KEY:
            return [key]
        case _:
            return [key for name in subprotocols if (key := _key_in(name))]


def _key_in(subprotocol: str) -> str:
    """The key in one subprotocol, or nothing; a token stands there as it is (Mistral: `realtime`, `rt_…`)."""
    if subprotocol.startswith(TOKEN_PREFIXES):
        return subprotocol
    prefix = next((prefix for prefix in KEY_PREFIXES if subprotocol.startswith(prefix)), subprotocol)
    return subprotocol.removeprefix(prefix)
