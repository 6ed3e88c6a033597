"""Turns as a client wants them, as an endpointer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxtral_streaming.server.dialects.actions import Turns
from voxtral_streaming.server.turns import configured, endpointer
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.vad.activity import Activity, Endpoint, SpeechStarted


@pytest.fixture
def transcriber(configure: Any, accounting: Any) -> Transcriber:
    return Transcriber(configure(), engine=accounting())


def heard(transcriber: Transcriber, turns: Turns, sound: Any) -> list[Activity]:
    """Of a second of silence, one of speech, one of silence."""
    samples = (np.frombuffer(sound.utterances(1.0), "<i2") / 32768).astype(np.float32)
    return endpointer(turns, transcriber).feed(samples)


def test_what_is_left_open_is_as_configured(transcriber: Transcriber, sound: Any) -> None:
    asked = heard(transcriber, Turns(), sound)
    same = heard(transcriber, configured(transcriber.config), sound)
    assert [(type(one), one.at) for one in asked] == [(type(one), one.at) for one in same]
    assert isinstance(asked[-1], Endpoint)


@pytest.mark.parametrize(("silence_ms", "ends"), [(0, True), (100, True), (900, True), (1100, False)])
def test_silence(silence_ms: int, ends: bool, transcriber: Transcriber, sound: Any) -> None:
    activities = heard(transcriber, Turns(silence_ms=silence_ms), sound)
    assert isinstance(activities[-1], Endpoint) == ends


def test_pre_roll(transcriber: Transcriber, sound: Any) -> None:
    starts = [heard(transcriber, Turns(pre_roll_ms=ms), sound)[0] for ms in (0, 500)]
    assert all(isinstance(start, SpeechStarted) for start in starts)
    assert starts[0].at - starts[1].at == 8000


def test_no_turns(transcriber: Transcriber, sound: Any) -> None:
    activities = heard(transcriber, Turns(detect=False), sound)
    assert not any(isinstance(one, Endpoint) for one in activities)
