"""Recorded conversations: what the client of a dialect says and what it hears, message by message.

A file begins with the path that the client dials. `"*"` stands for what is new in every session, and
`{"speech": 1.0}` for so many seconds of it, as 16-bit samples at 16 kHz: in base64 within a message, in a binary frame
where it stands alone. The engine tells no partials, whose
number would depend on the machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

FOLDER = Path(__file__).parents[1] / "data" / "conversations"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
async def test_a_recorded_conversation_goes_as_it_went(path: Path, launch: Any, accounting: Any, sound: Any) -> None:
    head, *turns = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    running = launch(accounting(partials=False))
    async with websockets.connect(f"ws://{running.host}{head['path']}", compression=None) as socket:
        for turn in turns:
            if "client" in turn:
                await socket.send(frame(turn["client"], sound))
            elif "server" in turn:
                heard = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert without_news(heard, turn["server"]) == turn["server"]
            else:
                await asyncio.wait_for(socket.wait_closed(), 10)
                assert socket.close_code == turn["close"]


def frame(message: dict[str, Any], sound: Any) -> str | bytes:
    """What a client sends."""
    spoken = samples(message, sound)
    return json.dumps(with_audio(message, sound)) if spoken is None else spoken


def samples(audio: Any, sound: Any) -> bytes | None:
    """The samples that stand for a sound."""
    match audio:
        case {"speech": length}:
            return bytes(sound.speech(length).tobytes())
        case {"silence": length}:
            return bytes(sound.silence(length).tobytes())
    return None


def with_audio(message: dict[str, Any], sound: Any) -> dict[str, Any]:
    """The message with its sounds as a client sends them."""
    spoken = samples(message.get("audio"), sound)
    return message if spoken is None else {**message, "audio": base64.b64encode(spoken).decode()}


def without_news(heard: Any, expected: Any) -> Any:
    """What was heard, with a star wherever one is expected."""
    if isinstance(heard, dict) and isinstance(expected, dict):
        return {key: without_news(value, expected.get(key)) for key, value in heard.items()}
    if isinstance(heard, list) and isinstance(expected, list) and len(heard) == len(expected):
        return [without_news(one, other) for one, other in zip(heard, expected, strict=True)]
    return "*" if expected == "*" else heard
