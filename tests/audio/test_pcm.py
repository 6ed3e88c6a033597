from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_streaming.audio.pcm import Encoding, PcmDecoder, mix
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples
from voxtral_streaming.errors import UnsupportedMedia

RATES = [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 768_000]


def decoded(decoder: PcmDecoder, pieces: list[bytes]) -> Samples:
    return np.concatenate([*(decoder.feed(piece) for piece in pieces), decoder.finish()])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=4096),
    places=st.lists(st.integers(min_value=0), max_size=20),
    encoding=st.sampled_from(get_args(Encoding)),
    rate=st.sampled_from(RATES),
    channels=st.integers(1, 8),
)
def test_any_cut_gives_the_same_samples(
    data: bytes, places: list[int], encoding: Encoding, rate: int, channels: int
) -> None:
    whole, pieces = PcmDecoder(encoding, rate, channels), PcmDecoder(encoding, rate, channels)
    expected = decoded(whole, [data])
    np.testing.assert_array_equal(decoded(pieces, cut(data, places)), expected)
    assert (pieces.received_frames, pieces.sanitized) == (whole.received_frames, whole.sanitized)
    assert np.isfinite(expected).all()
    assert np.abs(expected).max(initial=0) <= 1


def test_integers_are_scaled_by_their_full_range() -> None:
    data = np.array([0, 16384, -32768, 32767], "<i2").tobytes()
    samples = PcmDecoder("pcm_s16le", SAMPLE_RATE, 1).feed(data)
    np.testing.assert_array_equal(samples, np.array([0, 0.5, -1, 32767 / 32768], np.float32))


def test_32_bits_and_half_floats_are_linear_too() -> None:
    integers = np.array([0, 2**30, -(2**31), 2**31 - 1], "<i4").tobytes()
    assert PcmDecoder("pcm_s32le", SAMPLE_RATE, 1).feed(integers).tolist() == [0.0, 0.5, -1.0, 1.0]
    decoder = PcmDecoder("pcm_f16le", SAMPLE_RATE, 1)
    assert decoder.feed(np.array([0.25, -1, np.nan, 2], "<f2").tobytes()).tolist() == [0.25, -1.0, 0.0, 1.0]
    assert decoder.sanitized == 2


def test_channels_are_averaged() -> None:
    data = np.array([[0.5, -0.5], [1.0, 0.0]], "<f4").tobytes()
    samples = PcmDecoder("pcm_f32le", SAMPLE_RATE, 2).feed(data)
    assert samples.tolist() == [0.0, 0.5]


def test_what_is_no_level_is_replaced_and_counted() -> None:
    decoder = PcmDecoder("pcm_f32le", SAMPLE_RATE, 1)
    samples = decoder.feed(np.array([np.nan, np.inf, -np.inf, 1e38, -2, 0.25], "<f4").tobytes())
    assert samples.tolist() == [0, 0, 0, 1, -1, 0.25]
    assert decoder.sanitized == 5
    assert decoder.received_frames == 6


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_every_integer_type_spans_the_same_range(dtype: type[np.integer]) -> None:
    ends = np.array([[np.iinfo(dtype).min], [np.iinfo(dtype).max]], dtype)
    mono, n_replaced = mix(ends)
    np.testing.assert_allclose(mono, [-1, 1], atol=0.01)
    assert n_replaced == 0


def test_64_bit_floats_do_not_overflow() -> None:
    mono, n_replaced = mix(np.array([[1e300], [-0.5]]))
    assert mono.tolist() == [1, -0.5]
    assert n_replaced == 1


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "param"),
    [
        ("pcm_s24le", 16_000, 1, "encoding"),
        ("pcm_s16le", 3_999, 1, "sample_rate"),
        ("pcm_s16le", 768_001, 1, "sample_rate"),
        ("pcm_s16le", 16_000, 0, "channels"),
        ("pcm_s16le", 16_000, 9, "channels"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_by_name(encoding: Encoding, rate: int, channels: int, param: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        PcmDecoder(encoding, rate, channels)
    assert caught.value.param == param


def test_a_last_half_sample_is_dropped(hostile: Path) -> None:
    decoder = PcmDecoder("pcm_s16le", SAMPLE_RATE, 1)
    samples = decoded(decoder, [(hostile / "misc_raw_pcm_odd.pcm").read_bytes()])
    assert len(samples) == decoder.received_frames == 7_999
