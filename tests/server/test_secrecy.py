"""Nothing secret leaves: not by the log, whatever its level, nor by the metrics, nor by an error.

Every error that the other tests provoke is read along too: see `Watched` in conftest.py.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets

from voxtral_streaming.logs import LineFormatter

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Configure, Running, Sound

KEY = "key-that-nobody-may-read-anywhere"
WRONG = "guess-that-nobody-may-read-either"
QUERY = "query-that-may-be-secret-too"
SPOKEN = "words-that-somebody-said"
OURS = ("voxtral_streaming", "uvicorn", "asyncio", "fastapi", "starlette")


@pytest.fixture
def locked(configure: Configure, accounting: type[AccountingEngine], running: type[Running]) -> Iterator[Any]:
    server = running(configure(server={"api_keys": (KEY,)}, logging={"level": "debug"}), accounting(padding=SPOKEN))
    yield server
    server.stop()


def secrets_in(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The secrets in what the server and all that it stands on would write to its log."""
    ours = [record for record in caplog.records if record.name.split(".")[0] in OURS]
    text = "\n".join(map(LineFormatter().format, ours))
    return {secret for secret in (KEY, WRONG, QUERY, SPOKEN) if secret in text}


async def everything_from(socket: websockets.ClientConnection) -> str:
    """All messages until the connection ends, however it ends."""
    messages = []
    with suppress(websockets.ConnectionClosed):
        while True:
            messages.append(str(await socket.recv()))
    return "".join(messages)


async def live(server: Any, sound: Sound, key: str, *, as_subprotocol: bool) -> str:
    """What a live session hears; where it is refused, the body of the refusal."""
    names = [websockets.Subprotocol("voxtral"), websockets.Subprotocol(f"bearer.{key}")] if as_subprotocol else None
    headers = {} if as_subprotocol else {"Authorization": f"Bearer {key}"}
    address = f"ws://{server.host}/ws?token={QUERY}"
    try:
        async with websockets.connect(
            address, subprotocols=names, additional_headers=headers, compression=None
        ) as socket:
            await socket.send(json.dumps({"type": "start", "prompt": SPOKEN}))
            await socket.send(sound.utterances(0.5))
            await socket.send('{"type": "close"}')
            return await everything_from(socket)
    except websockets.InvalidStatus as refused:
        return refused.response.body.decode()


async def ask_everything(server: Any, sound: Sound, recording: bytes) -> str:
    """Come through every door, with a right and a wrong key; every answer but transcripts."""
    answers = []
    for key in (KEY, WRONG):
        for as_subprotocol in (True, False):
            heard = await live(server, sound, key, as_subprotocol=as_subprotocol)
            assert (SPOKEN in heard) is (key == KEY)
        headers = {"Authorization": f"Bearer {key}"}
        audio = base64.b64encode(recording).decode()
        async with httpx.AsyncClient(base_url=f"http://{server.host}", headers=headers, verify=False) as http:
            door = f"/v1/transcriptions?token={QUERY}"
            heard = (await http.post(door, json={"audio": audio, "prompt": SPOKEN})).text
            assert (SPOKEN in heard) is (key == KEY)
            for body in ({"audio": audio[:-3]}, {"audio": audio, QUERY: 1}, {"path": f"/etc/{QUERY}"}, {"url": QUERY}):
                answers.append((await http.post(door, json=body)).text)
            answers += [(await http.get(path)).text for path in ("/metrics", f"/nowhere?token={QUERY}")]
    return "".join(answers).replace(f'"param":"{QUERY}"', "").replace(f"{QUERY}: Extra", "")  # a field that was named


async def test_no_secret_in_the_log_the_metrics_or_an_error(
    locked: Running,
    sound: Sound,
    caplog: pytest.LogCaptureFixture,
    as_wav: Callable[[bytes], bytes],
) -> None:
    caplog.set_level(logging.DEBUG)
    said = await ask_everything(locked, sound, as_wav(sound.utterances(0.5)))
    assert not {secret for secret in (KEY, WRONG, QUERY, SPOKEN) if secret in said}
    assert not secrets_in(caplog)


async def test_no_secret_in_the_log_of_a_bug(
    locked: Running, sound: Sound, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(locked.engine, "ails", RuntimeError("a bug"))
    assert '"internal"' in await live(locked, sound, KEY, as_subprotocol=True)
    assert "RuntimeError: a bug" in caplog.text
    assert not secrets_in(caplog)
