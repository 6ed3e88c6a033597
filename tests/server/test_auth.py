"""Keys and origins, over HTTP and WebSockets, before anything is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets
from starlette.routing import Mount, Route, WebSocketRoute

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Launch, Running

KEY = "correct-horse-battery-staple"
PUBLIC = {"/", "/health/live", "/page/page.css"}


@pytest.fixture(scope="module")
def locked(configure: Configure, accounting: type[AccountingEngine], running: type[Running]) -> Iterator[Any]:
    """A server with keys."""
    server = running(
        configure(
            server={"api_keys": (KEY, "another-key-of-16-characters"), "allowed_origins": ("https://good.example",)}
        ),
        accounting(),
    )
    yield server
    server.stop()


def paths(app: Any) -> Iterator[tuple[str, str]]:
    """Every path of the application, with a method."""
    for route in app.routes:
        match route:
            case WebSocketRoute():
                yield "WS", route.path
            case Mount():
                yield "GET", route.path
            case Route():
                yield sorted(route.methods or {"GET"})[-1], route.path
            case _:
                for inner in route.original_router.routes:
                    yield "WS" if isinstance(inner, WebSocketRoute) else sorted(inner.methods)[-1], inner.path


async def status_of(server: Any, method: str, path: str, **headers: str) -> int:
    """The status of a request, or of a handshake."""
    if method != "WS":
        async with httpx.AsyncClient(verify=False) as http:
            return (await http.request(method, f"http://{server.host}{path}", headers=headers)).status_code
    try:
        async with websockets.connect(f"ws://{server.host}{path}", additional_headers=headers, compression=None):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestKeys:
    async def test_every_path_but_the_public_ones_asks_for_a_key(self, locked: Running) -> None:
        seen = dict.fromkeys([path for _, path in paths(locked.app)])
        assert {"/ws", "/v1/transcriptions", "/metrics", "/docs", "/openapi.json", "/health/ready"} <= seen.keys()
        for method, path in [*paths(locked.app), ("GET", "/page/page.css"), ("GET", "/no"), ("WS", "/no")]:
            for headers in ({}, bearer("wrong"), {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}):
                status = await status_of(locked, method, path, **headers)
                assert (status == 401) is (path not in PUBLIC), (method, path, headers)

    async def test_key_opens(self, locked: Running) -> None:
        for headers in (bearer(KEY), bearer("another-key-of-16-characters"), {"Authorization": f"Token {KEY}"}):
            assert await status_of(locked, "GET", "/health/ready", **headers) == 200
            assert await status_of(locked, "WS", "/ws", **headers) == 101

    @pytest.mark.parametrize(
        "key",
        [KEY[:-1], KEY + "x", "x" + KEY[1:], KEY[:-1] + "X", KEY.upper(), "-", f" {KEY}", "é" * 20, "k" * 10_000],
    )
    async def test_wrong_keys_are_all_told_the_same(self, locked: Running, key: str) -> None:
        async with httpx.AsyncClient(verify=False) as http:
            headers = {b"Authorization": f"Bearer {key}".encode("latin-1")}
            response = await http.get(f"http://{locked.host}/metrics", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json() == {
            "error": {
                "code": "unauthorized",
                "message": "a key is needed: `Authorization: Bearer KEY`",
                "param": "authorization",
            }
        }

    async def test_megabyte_of_key(self, locked: Running) -> None:
        async with httpx.AsyncClient(verify=False) as http:
            response = await http.get(f"http://{locked.host}/metrics", headers=bearer("k" * 2**20))
        assert 400 <= response.status_code < 500

    @pytest.mark.parametrize("host", ["localhost/health/live?", "x/page/", "a@b", "", "h" * 10_000])
    async def test_host_header_opens_nothing(self, locked: Running, host: str) -> None:
        assert await status_of(locked, "GET", "/v1/transcriptions", Host=host) in (400, 401)
        reader, writer = await asyncio.open_connection(*locked.host.split(":"))
        writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode())
        writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        status = await asyncio.wait_for(reader.readline(), 5)
        assert status.split()[1] in (b"400", b"401")
        writer.close()

    @pytest.mark.parametrize(
        "path", ["/page/../metrics", "/page/%2e%2e/metrics", "/page/..%2fmetrics", "//metrics", "/metrics/"]
    )
    async def test_path_tricks_open_nothing(self, locked: Running, path: str) -> None:
        reader, writer = await asyncio.open_connection(*locked.host.split(":"))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), 5)
        assert status.split()[1] in (b"401", b"404")
        writer.close()


class TestSubprotocol:
    async def test_key_is_taken_and_never_echoed(self, locked: Running) -> None:
        with_key = websockets.Subprotocol(f"bearer.{KEY}")
        for offered in ([with_key], [websockets.Subprotocol("voxtral"), with_key]):
            async with websockets.connect(f"ws://{locked.host}/ws", subprotocols=offered, compression=None) as socket:
                assert socket.subprotocol == (offered[0] if len(offered) == 2 else None)
                assert socket.response is not None
                assert KEY not in str(socket.response.headers)

    @pytest.mark.parametrize("word", ["token", "bearer"])
    async def test_as_deepgram_has_it(self, locked: Running, word: str) -> None:
        for key, status in ((KEY, 101), ("wrong", 401)):
            assert await status_of(locked, "WS", "/ws", **{"Sec-WebSocket-Protocol": f"{word}, {key}"}) == status
        assert await status_of(locked, "WS", "/ws", **{"Sec-WebSocket-Protocol": f"voxtral, {word}, {KEY}"}) == 401

    async def test_wrong_key(self, locked: Running) -> None:
        wrong = websockets.Subprotocol("bearer.wrong")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{locked.host}/ws", subprotocols=[wrong]).__aenter__()
        assert refused.value.response.status_code == 401
        assert b'"unauthorized"' in refused.value.response.body

    async def test_is_no_key_for_http(self, locked: Running) -> None:
        headers = {"Sec-WebSocket-Protocol": f"bearer.{KEY}"}
        assert await status_of(locked, "GET", "/metrics", **headers) == 401

    async def test_bytes_beyond_ascii(self, locked: Running) -> None:
        reader, writer = await asyncio.open_connection(*locked.host.split(":"))
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
        writer.write(b"Sec-WebSocket-Protocol: bearer.\xff\xfe\r\n\r\n")
        status = await asyncio.wait_for(reader.readline(), 5)
        assert status.split()[1] in (b"400", b"401")
        writer.close()
        assert await status_of(locked, "GET", "/health/live") == 200


class TestOrigin:
    FOREIGN = (
        "https://evil.example",
        "null",
        "https://good.example.evil",
        "http://good.example",
        "https://good.example:444",
        "https://notgood.example",
        "https://good.example/",
        "https://xn--god-fna.example",
        "http://[",
        "",
    )

    @pytest.mark.parametrize("origin", FOREIGN)
    async def test_foreign_pages_are_refused_even_with_a_key(self, locked: Running, origin: str) -> None:
        assert await status_of(locked, "WS", "/ws", Origin=origin, **bearer(KEY)) == 403
        assert await status_of(locked, "GET", "/health/ready", Origin=origin, **bearer(KEY)) == 403

    async def test_own_and_allowed_pages(self, locked: Running) -> None:
        for origin in (f"http://{locked.host}", "https://good.example"):
            assert await status_of(locked, "WS", "/ws", Origin=origin, **bearer(KEY)) == 101
            assert await status_of(locked, "WS", "/ws", Origin=origin) == 401

    @pytest.mark.parametrize("origin", FOREIGN)
    async def test_foreign_pages_are_refused_without_keys_too(self, server: Running, origin: str) -> None:
        assert await status_of(server, "WS", "/ws", Origin=origin) == 403
        assert await status_of(server, "POST", "/v1/transcriptions", Origin=origin) == 403

    async def test_own_page_under_the_names_of_this_machine(self, server: Running) -> None:
        port = server.host.partition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"192.168.1.7:{port}", f"[::1]:{port}"):
            assert await status_of(server, "GET", "/metrics", Origin=f"http://{host}", Host=host) == 200

    @pytest.mark.parametrize("host", ["evil.example:8000", "[", "localhost.evil.example", "127.0.0.1.evil.example"])
    async def test_name_that_anyone_can_own_is_no_proof(self, server: Running, locked: Running, host: str) -> None:
        headers = {"Origin": f"http://{host}", "Host": host}
        assert await status_of(server, "GET", "/metrics", **headers) == 403
        assert await status_of(locked, "GET", "/metrics", **headers, **bearer(KEY)) in (200, 403)


class TestSecrecy:
    async def test_no_key_and_no_query_in_the_log_or_the_metrics(
        self, locked: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        await status_of(locked, "WS", f"/ws?token={KEY}", **bearer(KEY))
        await status_of(locked, "WS", f"/ws?token={KEY}")
        await status_of(locked, "GET", f"/metrics?token={KEY}", **bearer(KEY[:-1]))
        async with httpx.AsyncClient(verify=False) as http:
            metrics = (await http.get(f"http://{locked.host}/metrics", headers=bearer(KEY))).text
        assert 'voxtral_errors_total{code="unauthorized"}' in metrics
        ours = [record for record in caplog.records if not record.name.startswith(("httpcore", "httpx", "websockets"))]
        assert KEY not in metrics
        assert not any(KEY[:-1] in record.getMessage() for record in ours)


class TestGuessing:
    async def test_twenty_wrong_keys_a_minute_and_no_more(self, launch: Launch) -> None:
        server = launch(server={"api_keys": (KEY,), "max_wrong_keys_per_minute": 20})
        statuses = [await status_of(server, "GET", "/metrics", **bearer(f"guess-{n}")) for n in range(12)]
        statuses += [await status_of(server, "WS", "/ws", **bearer(f"guess-{n}")) for n in range(12)]
        assert statuses == [401] * 20 + [429] * 4
        async with httpx.AsyncClient(verify=False) as http:
            refused = await http.get(f"http://{server.host}/metrics", headers=bearer(KEY))
        assert refused.status_code == 429  # else the answer to a guess would be told
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert await status_of(server, "GET", "/health/live") == 200

    async def test_others_are_not_bothered(self, launch: Launch) -> None:
        """Behind a proxy that is trusted, each client is counted by itself."""
        doors = {"max_wrong_keys_per_minute": 3, "trusted_proxies": ("127.0.0.0/8",)}
        server = launch(server={"api_keys": (KEY,), **doors})
        for _ in range(5):
            await status_of(server, "GET", "/metrics", **bearer("wrong"), **{"X-Forwarded-For": "203.0.113.5"})
        for address, status in (("203.0.113.5", 429), ("203.0.113.6", 200)):
            headers = bearer(KEY) | {"X-Forwarded-For": f"203.0.113.5, {address}"}
            assert await status_of(server, "GET", "/metrics", **headers) == status

    async def test_a_name_that_is_made_up_changes_nothing(self, launch: Launch) -> None:
        server = launch(server={"api_keys": (KEY,), "max_wrong_keys_per_minute": 3})
        statuses = [
            await status_of(server, "GET", "/metrics", **bearer("wrong"), **{"X-Forwarded-For": f"203.0.113.{n}"})
            for n in range(5)
        ]
        assert statuses == [401, 401, 401, 429, 429]

    async def test_who_presents_no_key_guesses_nothing(self, launch: Launch) -> None:
        server = launch(server={"api_keys": (KEY,), "max_wrong_keys_per_minute": 3})
        assert [await status_of(server, "GET", "/metrics") for _ in range(5)] == [401] * 5
        assert await status_of(server, "GET", "/metrics", **bearer(KEY)) == 200


async def test_so_many_websockets_a_minute_and_no_more(launch: Launch) -> None:
    server = launch(server={"max_starts_per_minute": 5})
    assert [await status_of(server, "WS", "/ws") for _ in range(7)] == [101] * 5 + [429] * 2
    assert await status_of(server, "GET", "/metrics") == 200
