from __future__ import annotations

import pytest

from voxtral_streaming.server.credentials import presented


def offered(*subprotocols: str) -> list[bytes]:
    return presented({"type": "websocket", "headers": [], "subprotocols": list(subprotocols)})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Bearer KEY", [b"KEY"]),
        (b"bearer KEY", [b"KEY"]),
        (b"Token KEY", [b"KEY"]),
        (b"Basic KEY", []),
        (b"KEY", []),
        (b"", []),
        (b"Bearer \xff", [b"\xff"]),
    ],
)
def test_a_header(header: bytes, expected: list[bytes]) -> None:
    assert presented({"type": "http", "headers": [(b"authorization", header)]}) == expected


@pytest.mark.parametrize(
    ("subprotocols", "expected"),
    [
        (("voxtral", "bearer.KEY"), [b"KEY"]),
        (("realtime", "openai-insecure-api-key.KEY", "openai-beta.realtime-v1"), [b"KEY"]),
        (("realtime", "rt_TOKEN"), [b"rt_TOKEN"]),
        (("voxtral", "bearer.ek_TOKEN"), [b"ek_TOKEN"]),
        (("token", "KEY"), [b"KEY"]),
        (("bearer", "KEY"), [b"KEY"]),
        (("token", "KEY", "other"), []),
        (("realtime",), []),
        ((), []),
    ],
)
def test_subprotocols(subprotocols: tuple[str, ...], expected: list[bytes]) -> None:
    assert offered(*subprotocols) == expected


def test_nobody_tries_a_thousand_keys_at_once() -> None:
    assert len(offered(*(f"bearer.{number}" for number in range(1000)))) == 2
