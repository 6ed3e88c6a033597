"""Clients that know what the server must have heard: one that speaks for hours, many that say a word and go."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import websockets

from bench.endurance.speech import Audit, Speech
from bench.endurance.tally import Tally
from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.client import Session, SessionError, connect
from voxtral_streaming.transcript import Final

BLOCK = SAMPLE_RATE // 2  # samples that are sent at once
MISFORTUNES = frozenset({"corrupt_audio", "overloaded"})  # of an upload: its decoder was killed, too many at once
UPLOAD_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where the server is, and the key to it."""

    port: int
    key: str

    @property
    def live(self) -> str:
        """The address of live sessions."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def http(self, peer: str = "") -> httpx.AsyncClient:
        """A client of the HTTP interface; `peer`: as whom a proxy presents it."""
        headers = {"Authorization": f"Bearer {self.key}"} | ({"X-Forwarded-For": peer} if peer else {})
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=UPLOAD_TIMEOUT_S, verify=False
        )


async def speak(door: Door, url: str, speech: Speech, tally: Tally, is_over: Callable[[], bool]) -> None:
    """One session: rounds of the speech until it is over, as fast as the server takes them, all of it audited."""
    audit = Audit(speech)
    try:
        async with connect(url, api_key=door.key, partials=False, words=False) as session:
            sending = asyncio.create_task(_send(session, speech, tally, is_over))
            async for event in session:
                if isinstance(event, Final):
                    tally.n_finals += 1
                    audit.take(event.text)
            n_sent = await sending
    except (SessionError, OSError, TimeoutError, websockets.WebSocketException) as error:
        tally.sessions[error.code if isinstance(error, SessionError) else type(error).__name__] += 1
        tally.lose(audit.faults)
        return
    audit.finish(n_sent)
    audit.check_counts(n_sent, session.closed)
    tally.sessions["closed"] += 1
    tally.longest = max(tally.longest, n_sent)
    tally.lose(audit.faults)


async def _send(session: Session, speech: Speech, tally: Tally, is_over: Callable[[], bool]) -> int:
    """Send whole rounds, at least one; how many samples that were."""
    n_sent = 0
    while True:
        for start in range(0, len(speech), BLOCK):
            block = speech.pcm[start : start + BLOCK]
            await session.send(block.tobytes())
            n_sent += len(block)
            tally.n_samples += len(block)
        if is_over():
            await session.finish()
            return n_sent


async def upload(door: Door, speech: Speech, tally: Tally) -> None:
    """One recording, its transcript audited."""
    audit = Audit(speech)
    async with door.http() as http:
        answer = await http.post(
            "/v1/transcriptions", files={"file": _wav(speech)}, data={"format": "verbose_json", "words": "false"}
        )
    if answer.status_code == httpx.codes.OK:
        for segment in answer.json()["segments"]:
            audit.take(segment["text"])
        audit.finish(len(speech))
        tally.lose(audit.faults)
        tally.uploads["transcribed"] += 1
        return
    code = answer.json()["error"]["code"]
    tally.uploads[code] += 1
    if code not in MISFORTUNES:
        tally.wonder(f"an upload was answered with {answer.status_code} {code}")


def _wav(speech: Speech) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        writer.writeframes(speech.pcm.tobytes())
    return file.getvalue()
