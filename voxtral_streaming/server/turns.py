"""When a client wants utterances to begin and to end, as an endpointer."""

from __future__ import annotations

from typing import Any

from voxtral_streaming.config import Config
from voxtral_streaming.server.dialects.actions import Turns
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.vad.activity import Endpointer


def configured(config: Config) -> Turns:
    """What holds where a client says nothing."""
    vad, streaming = config.vad, config.streaming
    return Turns(
        silence_ms=streaming.endpoint_silence_ms,
        speech_probability=vad.speech_probability,
        pre_roll_ms=vad.pre_roll_ms,
    )


def endpointer(turns: Turns, transcriber: Transcriber, *, is_live: bool = True) -> Endpointer:
    """A fresh endpointer, for live audio or a recording: what `turns` leaves open is as configured."""
    config = transcriber.config
    vad = config.vad.model_copy(
        update=_given(speech_probability=turns.speech_probability, pre_roll_ms=turns.pre_roll_ms)
    )
    streaming = config.streaming
    if turns.silence_ms is not None:
        streaming = streaming.model_copy(update={"endpoint_silence_ms": turns.silence_ms})
        stop = min(vad.min_silence_duration_ms, turns.silence_ms)
        vad = vad.model_copy(update={"min_silence_duration_ms": stop})
    return transcriber.endpointer(vad, streaming, detect_turns=turns.detect, is_live=is_live)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
