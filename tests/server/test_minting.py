"""Tokens for browsers: how they are asked for, what they open and what they do not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets

from voxtral_streaming.server.tokens import Tokens

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Running

KEY = "correct-horse-battery-staple"
MISTRAL = "/v1/client/sessions"
OPENAI = "/v1/realtime/client_secrets"


@pytest.fixture(scope="module")
def locked(configure: Configure, accounting: type[AccountingEngine], running: type[Running]) -> Iterator[Any]:
    server = running(configure(server={"api_keys": (KEY,)}), accounting())
    yield server
    server.stop()


def ask(server: Any, path: str, body: Any, key: str = KEY) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"http://{server.host}{path}", json=body, headers=headers, verify=False)


def mint(server: Any, path: str = OPENAI, **fields: Any) -> str:
    answer = ask(server, path, fields).json()
    value: str = answer["value"] if path == OPENAI else answer["client_secret"]["value"]
    return value


@asynccontextmanager
async def opened(server: Any, *subprotocols: str) -> AsyncIterator[websockets.ClientConnection]:
    names = [websockets.Subprotocol(name) for name in subprotocols]
    async with websockets.connect(f"ws://{server.host}/ws", subprotocols=names, compression=None) as socket:
        yield socket


async def refusal(server: Any, *subprotocols: str) -> str:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with opened(server, *subprotocols):
            pass
    assert refused.value.response.status_code == 401
    return refused.value.response.body.decode()


class TestAnswer:
    def test_as_mistral_has_it(self, locked: Running) -> None:
        answer = ask(locked, MISTRAL, {"purpose": "realtime", "model": "voxtral", "ttl_seconds": 60})
        assert answer.status_code == 201
        body = answer.json()
        assert (body["object"], body["purpose"]) == ("client.session", "realtime")
        assert body["client_secret"]["value"].startswith("rt_")
        assert body["expires_at"] == body["client_secret"]["expires_at"]
        assert datetime.fromisoformat(body["expires_at"]).timestamp() == pytest.approx(time.time() + 60, abs=5)

    def test_as_openai_has_it(self, locked: Running) -> None:
        session = {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}
        answer = ask(locked, OPENAI, {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": session})
        assert answer.status_code == 200
        body = answer.json()
        assert body["value"].startswith("ek_")
        assert body["expires_at"] == pytest.approx(time.time() + 60, abs=5)
        assert body["session"].items() >= session.items()
        assert body["session"]["object"] == "realtime.transcription_session"

    @pytest.mark.parametrize("path", [MISTRAL, OPENAI])
    def test_everything_may_be_left_out(self, locked: Running, path: str) -> None:
        assert ask(locked, path, {}).is_success

    @pytest.mark.parametrize(
        ("path", "body", "param"),
        [
            (MISTRAL, {"purpose": "batch"}, "purpose"),
            (MISTRAL, {"ttl_seconds": 9}, "ttl_seconds"),
            (MISTRAL, {"ttl_seconds": 7201}, "ttl_seconds"),
            (MISTRAL, {"ttl_seconds": "60"}, "ttl_seconds"),
            (MISTRAL, {"other": 1}, "other"),
            (OPENAI, {"expires_after": {"seconds": 10**9}}, "expires_after.seconds"),
            (OPENAI, {"expires_after": {"anchor": "never"}}, "expires_after.anchor"),
            (OPENAI, {"session": {"type": "realtime"}}, "session.type"),
            (OPENAI, {"session": {"type": "transcription", "include": ["x"]}}, "session.include.0"),
            (OPENAI, {"session": {"audio": {"input": {"transcription": {"prompt": "x" * 4000}}}}}, "session"),
        ],
    )
    def test_what_cannot_be_minted(self, locked: Running, path: str, body: Any, param: str) -> None:
        answer = ask(locked, path, body)
        assert answer.status_code == 422
        assert answer.json()["error"]["param"] == param

    def test_a_body_that_is_too_large(self, locked: Running) -> None:
        assert ask(locked, OPENAI, {"session": {"x": "y" * 70_000}}).status_code == 413


class TestUse:
    @pytest.mark.parametrize("path", [MISTRAL, OPENAI])
    async def test_it_opens_websockets_as_often_as_it_likes(self, locked: Running, path: str) -> None:
        token = mint(locked, path)
        for _ in range(3):
            async with opened(locked, "voxtral", f"bearer.{token}") as socket:
                assert socket.subprotocol == "voxtral"
                assert socket.response is not None
                assert token not in str(socket.response.headers)

    @pytest.mark.parametrize("way", ["bearer.{}", "openai-insecure-api-key.{}", "{}"])
    async def test_in_the_way_of_every_dialect(self, locked: Running, way: str) -> None:
        async with opened(locked, "realtime", way.format(mint(locked))) as socket:
            assert '"session"' in str(await socket.recv())

    @pytest.mark.parametrize("path", [MISTRAL, OPENAI])
    def test_it_mints_no_others(self, locked: Running, path: str) -> None:
        answer = ask(locked, path, {}, key=mint(locked))
        assert answer.status_code == 401
        assert "opens WebSockets" in answer.json()["error"]["message"]

    @pytest.mark.parametrize(("method", "path"), [("POST", "/v1/transcriptions"), ("GET", "/metrics")])
    def test_it_does_nothing_over_http(self, locked: Running, method: str, path: str) -> None:
        headers = {"Authorization": f"Bearer {mint(locked)}"}
        assert httpx.request(method, f"http://{locked.host}{path}", headers=headers, verify=False).status_code == 401

    async def test_it_expires(self, locked: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        token = mint(locked, MISTRAL, ttl_seconds=10)
        tokens: Tokens = locked.app.state.tokens
        async with opened(locked, "voxtral", f"bearer.{token}") as socket:
            monkeypatch.setattr(tokens, "_clock", lambda: time.monotonic() + 10)
            assert "expires" in await refusal(locked, "voxtral", f"bearer.{token}")
            await socket.send('{"type": "close"}')
            assert [message async for message in socket]  # what is open goes on

    async def test_a_forged_one_opens_nothing(self, locked: Running) -> None:
        assert "a key is needed" in await refusal(locked, "voxtral", f"bearer.{Tokens().mint('ek_', 60, {})}")

    def test_only_keys_mint(self, locked: Running) -> None:
        for path in (MISTRAL, OPENAI):
            assert ask(locked, path, {}, key="wrong").status_code == 401
