"""What a dialect costs: microseconds to read a message of audio, and to write an event of the session.

`python -m bench.translation`
"""

from __future__ import annotations

import base64
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.server.dialects.actions import Dialect, Notice, Opened, SessionFacts
from voxtral_streaming.server.dialects.deepgram.live import DeepgramLive
from voxtral_streaming.server.dialects.deepgram.query import read_live
from voxtral_streaming.server.dialects.mistral.realtime import MistralRealtime
from voxtral_streaming.server.dialects.native import Native
from voxtral_streaming.server.dialects.openai.realtime import OpenAIRealtime
from voxtral_streaming.server.dialects.vllm import VllmRealtime
from voxtral_streaming.server.dialects.wyoming.session import Wyoming
from voxtral_streaming.transcript import Final, Partial, SpeechStarted, SpeechStopped, Word

CAN = Capabilities("whisper", "whisper-base", True, "word", ("en",), detects_language=True)
FACTS = SessionFacts("0" * 32, CAN, "en", 60.0, 26.0)
AUDIO = bytes(3200)  # 100 ms at 16 kHz
BASE64 = base64.b64encode(AUDIO).decode()
N_WORDS = 30  # of an utterance
N_UTTERANCES = 20
N_FRAMES = 500
REPEATS = 15


def main() -> None:
    """Print a table: medians of several runs."""
    print(f"{'microseconds':16}{'read 100 ms of audio':>24}{'write an event':>20}")
    for name in DIALECTS:
        read, written = median(reading, name), median(writing, name)
        print(f"{name:16}{read:24.1f}{written:20.1f}")


def median(measure: Callable[[str], float], name: str) -> float:
    """Microseconds."""
    gc.disable()
    try:
        return statistics.median(measure(name) for _ in range(REPEATS)) * 1e6
    finally:
        gc.enable()


def reading(name: str) -> float:
    """Seconds that a dialect takes for one frame of audio."""
    speak, frame = DIALECTS[name]
    dialect = speak()
    dialect.receive(frame)  # which starts the session
    began = time.perf_counter()
    for _ in range(N_FRAMES):
        dialect.receive(frame)
    return (time.perf_counter() - began) / N_FRAMES


def writing(name: str) -> float:
    """Seconds that a dialect takes for one event of utterances that grow word by word."""
    dialect = DIALECTS[name][0]()
    dialect.encode(Opened())
    notices = [notice for number in range(N_UTTERANCES) for notice in utterance(number)]
    began = time.perf_counter()
    for notice in notices:
        dialect.encode(notice)
    return (time.perf_counter() - began) / len(notices)


def utterance(number: int) -> Iterator[Notice]:
    """One that is told in as many partials as it has words."""
    start = number * 160_000
    words = tuple(Word(f"word{n}", n / 3, n / 3 + 0.3, 0.9) for n in range(N_WORDS))
    text = [word.text for word in words]
    yield SpeechStarted(number, start)
    for n in range(1, N_WORDS):
        yield Partial(number, start + n * 5333, " ".join(text[:n]), f" {text[n]}")
    yield SpeechStopped(number, start + 160_000)
    yield Final(number, start, start + 160_000, " ".join(text), words, "en")


def json_of(**message: str) -> str:
    """A message of the client."""
    return json.dumps(message)


def chunk() -> bytes:
    """The audio as an event of Wyoming."""
    layout = {"rate": 16000, "width": 2, "channels": 1}
    return json.dumps({"type": "audio-chunk", "data": layout, "payload_length": len(AUDIO)}).encode() + b"\n" + AUDIO


def deepgram() -> DeepgramLive:
    """With interim results."""
    asked = read_live([("encoding", "linear16"), ("sample_rate", "16000"), ("interim_results", "true")], CAN, "en")
    return DeepgramLive(FACTS, asked=asked, opened_at=datetime.now(timezone.utc))


DIALECTS: dict[str, tuple[Callable[[], Dialect], str | bytes]] = {
    "native": (lambda: Native(FACTS), AUDIO),
    "openai": (lambda: OpenAIRealtime(FACTS, 0), json_of(type="input_audio_buffer.append", audio=BASE64)),
    "vllm": (lambda: VllmRealtime(FACTS), json_of(type="input_audio_buffer.append", audio=BASE64)),
    "mistral": (lambda: MistralRealtime(FACTS), json_of(type="input_audio.append", audio=BASE64)),
    "deepgram": (deepgram, AUDIO),
    "wyoming": (lambda: Wyoming(FACTS), chunk()),
}

if __name__ == "__main__":
    main()
