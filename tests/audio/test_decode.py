from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import av
import numpy as np
import pytest

from voxtral_streaming.audio import decode
from voxtral_streaming.audio.decode import open_audio, open_base64, open_bytes, open_path, open_url
from voxtral_streaming.audio.decoder.launch import DECODER
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import Samples, seconds
from voxtral_streaming.config import AudioConfig
from voxtral_streaming.errors import (
    AudioError,
    AudioTooLarge,
    AudioTooLong,
    CorruptAudio,
    EmptyAudio,
    SourceForbidden,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from tests.audio.conftest import Recipe, Site

Record = Callable[[Samples, "Recipe"], Path]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="finds decoders through /proc")

RECIPES = {
    "wav-u8": ("wav", "pcm_u8"),
    "wav-s16": ("wav", "pcm_s16le"),
    "wav-s24-48k-stereo": ("wav", "pcm_s24le", 48_000, "stereo"),
    "wav-s32": ("wav", "pcm_s32le"),
    "wav-f32-44k-5.1": ("wav", "pcm_f32le", 44_100, "5.1"),
    "wav-f64": ("wav", "pcm_f64le"),
    "wav-alaw-8k": ("wav", "pcm_alaw", 8_000),
    "wav-mulaw-8k": ("wav", "pcm_mulaw", 8_000),
    "wav-adpcm": ("wav", "adpcm_ms"),
    "wav-192k": ("wav", "pcm_s16le", 192_000),
    "aiff": ("aiff", "pcm_s16be", 22_050),
    "au": ("au", "pcm_s16be", 11_025),
    "flac": ("flac", "flac", 44_100, "stereo"),
    "mp3": ("mp3", "mp3", 44_100, "stereo"),
    "mp3-16k": ("mp3", "mp3"),
    "ogg-opus": ("ogg", "libopus", 48_000),
    "ogg-vorbis": ("ogg", "vorbis", 44_100, "stereo"),
    "webm-opus": ("webm", "libopus", 48_000, "stereo"),
    "mka-aac": ("matroska", "aac"),
    "m4a-aac": ("ipod", "aac", 44_100, "stereo"),
    "m4a-alac": ("ipod", "alac"),
    "mp4-with-video": ("mp4", "aac", 48_000, "stereo", True),
    "adts": ("adts", "aac", 24_000),
}

LEFT_OUT = {"misc_raw_pcm_odd.pcm"}  # has no container; see test_pcm.py
if int(av.__version__.split(".")[0]) < 18:
    LEFT_OUT.add("wav_trunc_half_data.wav")  # older libav drops the packet in which a file was cut off

TOKENS = {  # what the corpus calls an outcome → our codes
    "accept": "accept",
    "accept_sanitized": "accept",
    "invalid_audio": "corrupt_audio",
    "no_audio_stream": "unsupported_media",
}


async def read(reader: decode.AudioReader) -> Samples:
    return np.concatenate([block async for block in reader])


def similarity(heard: Samples, truth: Samples, max_lag: int = 2_400) -> float:
    """The highest normalised correlation over lags of up to 150 ms, which codecs add at the start."""
    n = 1 << (len(heard) + len(truth)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(truth, n)), n)[: max_lag + 1]
    return float(correlation.max() / (np.linalg.norm(heard) * np.linalg.norm(truth)))


def decoders() -> set[int]:
    """The process ids of the decoders that run now."""
    if DECODER.pid is None:
        return set()
    return set(map(int, Path(f"/proc/{DECODER.pid}/task/{DECODER.pid}/children").read_text().split()))


def state(pid: int) -> str:
    """What a process does: R for running, S for waiting."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_no_decoder() -> None:
    await until(lambda: not decoders())


@pytest.mark.parametrize("name", RECIPES)
async def test_every_container_sounds_like_what_was_recorded(
    name: str, record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    path = record(speech, recipe(*RECIPES[name]))
    async with open_bytes(path.read_bytes(), remote) as audio:
        heard = await read(audio)
    assert heard.dtype == np.float32
    assert audio.n_samples == len(heard)
    assert audio.damaged == 0
    assert seconds(len(heard)) == pytest.approx(seconds(len(speech)), abs=0.13)
    assert np.abs(heard).max() == pytest.approx(np.abs(speech).max(), rel=0.2)
    assert similarity(heard, speech) > 0.98


async def test_samples_of_16_bits_pass_unchanged(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    path = record(speech, recipe("wav", "pcm_s16le"))
    async with open_bytes(path.read_bytes(), remote) as audio:
        heard = await read(audio)
    assert heard.flags.writeable
    np.testing.assert_allclose(heard, speech, atol=1 / 32768)


@pytest.mark.parametrize("name", ["wav-s16", "flac", "mp3", "ogg-opus", "m4a-aac", "aiff", "au"])
async def test_a_container_that_says_its_length_is_heard(
    name: str, record: Record, recipe: Callable[..., Recipe], speech: Samples, trusted: SourcePolicy
) -> None:
    async with open_path(record(speech, recipe(*RECIPES[name])), trusted) as audio:
        assert audio.duration == pytest.approx(seconds(len(speech)), abs=0.1)


async def test_the_doors_agree(
    record: Record,
    recipe: Callable[..., Recipe],
    speech: Samples,
    trusted: SourcePolicy,
    site: Site,
    to_site: Callable[[SourcePolicy], SourcePolicy],
) -> None:
    import base64

    path = record(speech, recipe("flac", "flac"))
    data = path.read_bytes()
    text = base64.b64encode(data).decode()
    policy = to_site(trusted)
    url = site.serve("/speech.flac", data)
    async with open_bytes(data, policy) as audio:
        truth = await read(audio)
    doors = [open_url(url, policy), open_path(path, policy), open_base64(text, policy)]
    guesses: list[str | Path | bytes] = [url, path, str(path), path.as_uri(), f"data:audio/flac;base64,{text}", data]
    for door in [*doors, *(open_audio(source, policy) for source in guesses)]:
        async with door as audio:
            np.testing.assert_array_equal(await read(audio), truth)


async def test_a_remote_caller_says_what_a_source_is(remote: SourcePolicy) -> None:
    with pytest.raises(SourceForbidden):
        open_audio("/etc/hostname", remote)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyAudio),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data\0\0\0\0", EmptyAudio),
        (b"<!doctype html><title>Sign in</title>", UnsupportedMedia),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", UnsupportedMedia),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n", UnsupportedMedia),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), UnsupportedMedia),
        (b"fLaC" + bytes(100), CorruptAudio),
        (b"ID3\4\0\0\0\0\0\0" * 5_000, CorruptAudio),
        (b"RIFF\x24\0\0\0WAVEjunk", CorruptAudio),
    ],
)
async def test_what_is_no_audio_is_refused_with_a_reason(
    data: bytes, error: type[AudioError], remote: SourcePolicy
) -> None:
    with pytest.raises(error):
        async with open_bytes(data, remote) as audio:
            await read(audio)


async def test_bytes_are_capped_for_remote_callers() -> None:
    remote = SourcePolicy.remote(AudioConfig(sample_rate=16000, max_bytes=1024))
    with pytest.raises(AudioTooLarge):
        async with open_bytes(bytes(1025), remote):
            pass


@pytest.mark.parametrize("name", ["wav-s16", "flac", "ogg-opus", "m4a-aac", "aiff"])
async def test_a_length_that_is_written_down_is_refused_at_once(
    name: str, record: Record, recipe: Callable[..., Recipe], speech: Samples
) -> None:
    policy = SourcePolicy.trusted(AudioConfig(sample_rate=16000, max_seconds=1.5))
    path = record(speech, recipe(*RECIPES[name]))
    with pytest.raises(AudioTooLong):
        async with open_path(path, policy):
            pass


async def test_too_long_audio_is_refused_whatever_it_claims(
    record: Record, recipe: Callable[..., Recipe], speech: Samples
) -> None:
    policy = SourcePolicy.trusted(AudioConfig(sample_rate=16000, max_seconds=1.5))
    path = record(speech, recipe("mp3", "mp3"))
    async with open_path(path, policy) as audio:
        with pytest.raises(AudioTooLong):
            await read(audio)
    assert seconds(audio.n_samples) <= 1.5


async def test_values_out_of_range_are_replaced_and_counted(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    wild = speech.copy()
    wild[100], wild[200], wild[300] = np.nan, -np.inf, 1e38
    path = record(wild, recipe("wav", "pcm_f32le"))
    async with open_bytes(path.read_bytes(), remote) as audio:
        heard = await read(audio)
    assert audio.sanitized == 3
    assert heard[[100, 200, 300]].tolist() == [0, 0, 1]


async def test_audio_without_a_number_is_corrupt(
    record: Record, recipe: Callable[..., Recipe], remote: SourcePolicy
) -> None:
    path = record(np.full(8_000, np.nan, np.float32), recipe("wav", "pcm_f32le"))
    with pytest.raises(CorruptAudio):
        async with open_bytes(path.read_bytes(), remote) as audio:
            await read(audio)


async def test_damage_is_passed_over_and_counted(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    data = bytearray(record(speech, recipe("ipod", "aac", 44_100, "stereo")).read_bytes())
    start = data.index(b"mdat") + 1_000
    data[start : start + 2_000] = np.random.default_rng(0).bytes(2_000)
    async with open_bytes(bytes(data), remote) as audio:
        heard = await read(audio)
    assert audio.damaged > 0
    assert seconds(len(heard)) > 1


@on_linux
async def test_a_slow_reader_makes_the_decoder_wait(hour: Path, trusted: SourcePolicy) -> None:
    await until_no_decoder()  # of the tests before
    async with open_path(hour, trusted) as audio:
        assert audio.duration == 3600
        await anext(audio)
        (pid,) = decoders()
        await until(lambda: state(pid) == "S")
        await asyncio.sleep(0.1)
        assert state(pid) == "S"
    await until_no_decoder()


async def test_waiting_for_the_reader_is_not_counted(hour: Path) -> None:
    policy = SourcePolicy.trusted(AudioConfig(sample_rate=16000, decode_timeout_s=1))
    async with open_path(hour, policy) as audio:
        await anext(audio)
        await asyncio.sleep(1.2)
        for _ in range(20):
            await anext(audio)


@on_linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_ends_only_its_own_recording(how: signal.Signals, hour: Path, trusted: SourcePolicy) -> None:
    async with open_path(hour, trusted) as other:
        bystanders = decoders()
        async with open_path(hour, trusted) as audio:
            (pid,) = decoders() - bystanders
            os.kill(pid, how)
            with pytest.raises(CorruptAudio):
                await read(audio)
        for _ in range(20):
            await anext(other)
    await until_no_decoder()


@on_linux
async def test_a_hung_decoder_meets_its_deadline(hour: Path) -> None:
    policy = SourcePolicy.trusted(AudioConfig(sample_rate=16000, decode_timeout_s=0.3))
    async with open_path(hour, policy) as audio:
        for pid in decoders():
            os.kill(pid, signal.SIGSTOP)
        with anyio.fail_after(3), pytest.raises(CorruptAudio, match=r"0\.3 s"):
            await read(audio)
    await until_no_decoder()


@on_linux
async def test_cancelling_a_reader_ends_its_decoder(hour: Path, trusted: SourcePolicy) -> None:
    started = asyncio.Event()

    async def transcribe() -> None:
        async with open_path(hour, trusted) as audio:
            async for _ in audio:
                started.set()
                await asyncio.sleep(0)

    task = asyncio.create_task(transcribe())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_no_decoder()


@on_linux
async def test_a_killed_decoder_process_is_started_again(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, trusted: SourcePolicy
) -> None:
    path = record(speech, recipe("wav", "pcm_s16le"))
    async with open_path(path, trusted) as audio:
        await read(audio)
    killed = DECODER.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await until(lambda: DECODER.pid is None)
    async with open_path(path, trusted) as audio:
        assert len(await read(audio)) == len(speech)
    assert DECODER.pid != killed


async def test_closing_the_decoder_process_leaves_none(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, trusted: SourcePolicy
) -> None:
    async with open_path(record(speech, recipe("wav", "pcm_s16le")), trusted) as audio:
        await read(audio)
    DECODER.close()
    assert DECODER.pid is None
    DECODER.close()


async def test_many_recordings_at_once(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, trusted: SourcePolicy
) -> None:
    path = record(speech, recipe("mp3", "mp3", 44_100, "stereo"))

    async def one() -> int:
        async with open_path(path, trusted) as audio:
            return len(await read(audio))

    assert len(set(await asyncio.gather(*(one() for _ in range(20))))) == 1


async def test_tags_in_any_code_page_do_no_harm(
    record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    tag = "Müller".encode("latin-1") + b"\0\0"
    info = b"INFOIART" + len(tag).to_bytes(4, "little") + tag
    data = record(speech, recipe("wav", "pcm_s16le")).read_bytes()
    tagged = data[:12] + b"LIST" + len(info).to_bytes(4, "little") + info + data[12:]
    async with open_bytes(tagged, remote) as audio:
        assert len(await read(audio)) == len(speech)


@pytest.mark.parametrize(
    "name", ["wav-s16", "flac", "mp3", "ogg-opus", "webm-opus", "m4a-aac", "mp4-with-video", "adts"]
)
async def test_bytes_that_were_shuffled_crash_nothing(
    name: str, record: Record, recipe: Callable[..., Recipe], speech: Samples, remote: SourcePolicy
) -> None:
    seed = record(speech[:4_000], recipe(*RECIPES[name])).read_bytes()
    random = np.random.default_rng(len(seed))
    for _ in range(25):
        outcome, _ = await judged(mutated(seed, random), remote)
        assert outcome in ("accept", "corrupt_audio", "unsupported_media", "empty_audio", "audio_too_long")


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """A copy with some bytes replaced, removed or doubled, mostly near the start."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 4, 16])):
        at = int(random.integers(min(len(changed), random.choice([64, 512, len(changed)]))))
        piece = [random.bytes(1), b"", b"\0", b"\xff", bytes(changed[at : at + 32]) * 2][random.integers(5)]
        changed[at : at + 1] = piece
    return bytes(changed)


async def test_the_hostile_corpus_meets_its_outcomes(hostile: Path) -> None:
    policy = SourcePolicy.remote(AudioConfig(sample_rate=16000, max_seconds=600))
    files = json.loads((hostile / "manifest.json").read_text())["files"]
    wrong = {}
    for name, row in files.items():
        if name in LEFT_OUT:
            continue
        outcome, duration = await judged((hostile / name).read_bytes(), policy)
        expected = {TOKENS.get(token, token) for token in row["expect"]}
        is_length_right = "duration_s" not in row or duration == pytest.approx(row["duration_s"], rel=0.1)
        if outcome not in expected or (outcome == "accept" and not is_length_right):
            wrong[name] = (outcome, duration, row)
    assert not wrong


async def judged(data: bytes, policy: SourcePolicy) -> tuple[str, float]:
    """How decoding ends: `crash`, an error's code, or `accept` with the duration."""
    try:
        with anyio.fail_after(5):
            async with open_bytes(data, policy) as audio:
                heard = await read(audio)
    except AudioError as error:
        return ("crash" if "the decoder" in error.message else error.code), 0.0
    assert np.isfinite(heard).all()
    assert np.abs(heard).max(initial=0) <= 1
    return "accept", seconds(len(heard))
