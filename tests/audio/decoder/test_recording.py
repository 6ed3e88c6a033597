from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from voxtral_streaming.audio.decoder.recording import BLOCK, Recording
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import UnsupportedMedia

if TYPE_CHECKING:
    from tests.audio.conftest import Recipe

Record = Callable[[Samples, "Recipe"], Path]


def opened(path: Path) -> Recording:
    return Recording(BytesIO(path.read_bytes()), max_seconds=60)


def test_blocks_last_half_a_second(record: Record, recipe: Callable[..., Recipe], speech: Samples) -> None:
    *full, last = [len(block) for block in opened(record(speech, recipe("mp3", "mp3", 44_100))).blocks()]
    assert all(BLOCK <= length < 1.1 * BLOCK for length in full)
    assert 0 < last < 1.1 * BLOCK


def test_a_codec_that_is_not_listed_is_refused(record: Record, recipe: Callable[..., Recipe], speech: Samples) -> None:
    path = record(speech, recipe("matroska", "ac3", 48_000))
    with pytest.raises(UnsupportedMedia, match="ac3"):
        opened(path)


def test_more_channels_than_eight_are_refused(record: Record, recipe: Callable[..., Recipe], speech: Samples) -> None:
    recording = opened(record(speech, recipe("wav", "pcm_s16le", 16_000, "hexadecagonal")))
    with pytest.raises(UnsupportedMedia, match="16 channels"):
        next(recording.blocks())


def test_no_picture_is_decoded_to_find_out_what_it_is(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(speech, recipe("mp4", "aac", 48_000, "mono", True))
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as messages:
            opened(path).close()
    finally:
        av.logging.set_level(None)
    assert any("mpeg4" in text and "whitelist" in text for _, _, text in messages)


def test_a_rate_may_change_on_the_way(record: Record, recipe: Callable[..., Recipe], speech: Samples) -> None:
    parts = [record(speech, recipe("adts", "aac", rate)).read_bytes() for rate in (24_000, 48_000)]
    recording = Recording(BytesIO(b"".join(parts)), max_seconds=60)
    heard = np.concatenate(list(recording.blocks()))
    assert len(heard) == pytest.approx(2 * len(speech), rel=0.1)
    assert recording.damaged == 0


def test_chained_ogg_is_heard_to_its_end(record: Record, recipe: Callable[..., Recipe], speech: Samples) -> None:
    part = record(speech, recipe("ogg", "libopus", 48_000)).read_bytes()
    heard = np.concatenate(list(Recording(BytesIO(part + part), max_seconds=60).blocks()))
    assert len(heard) == pytest.approx(2 * len(speech), rel=0.01)
