"""`voxtral listen`, with the small built-in model and a real recording."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import soxr

from voxtral_streaming.cli.listening import _stopped_by_signals
from voxtral_streaming.client import decode
from voxtral_streaming.transcript import Final, Partial, SpeechStarted

SAID = "He might even have been made amiable himself."


@pytest.fixture
def pcm(short: Path) -> bytes:
    """The short recording as raw 16-bit PCM at 16 kHz."""
    samples, rate = soundfile.read(short, dtype="int16")
    assert rate == 16000
    return bytes(samples.tobytes())


@pytest.fixture
def stereo(pcm: bytes) -> bytes:
    """The same at 44.1 kHz, the speech on one of two channels."""
    samples = soxr.resample(np.frombuffer(pcm, "<i2"), 16000, 44100)
    return np.stack([samples, np.zeros_like(samples)], axis=1).astype("<i2").tobytes()


def test_a_final_a_line(voxtral: Any, pcm: bytes) -> None:
    silence = bytes(2 * 16000)
    result = voxtral("listen", "-", stdin=pcm + silence + pcm)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode().splitlines() == [SAID, SAID]


def test_any_rate_and_channels(voxtral: Any, stereo: bytes) -> None:
    result = voxtral("listen", "-", "--rate", "44100", "--channels", "2", stdin=stereo)
    assert result.stdout.decode() == f"{SAID}\n"


def test_a_file_may_be_its_input(start: Any, pcm: bytes, tmp_path: Path) -> None:
    (tmp_path / "speech.raw").write_bytes(pcm)
    with (tmp_path / "speech.raw").open("rb") as raw:
        command = start("listen", "-", stdin=raw.fileno())
    said, complaints = command.communicate(timeout=20)
    assert (command.returncode, said.decode(), complaints) == (0, f"{SAID}\n", b"")


def test_nothing_may_be_its_input(start: Any) -> None:
    with Path(os.devnull).open("rb") as nothing:
        command = start("listen", "-", stdin=nothing.fileno())
    assert command.communicate(timeout=20) == (b"", b"")
    assert command.returncode == 0


def test_a_terminal_is_no_sound(start: Any, terminal: Any) -> None:
    command = start("listen", "-", stdin=terminal.end)
    assert command.wait(20) == 2
    assert "standard input is a terminal" in command.stderr.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_last_final(start: Any, pcm: bytes, number: signal.Signals) -> None:
    command = start("listen", "-", "--json")
    command.stdin.write(pcm)
    command.stdin.flush()
    heard = [decode(command.stdout.readline())]
    while not isinstance(heard[-1], Partial):
        heard.append(decode(command.stdout.readline()))
    command.send_signal(number)
    heard += map(decode, command.stdout)
    assert command.wait(5) == 0
    assert isinstance(heard[0], SpeechStarted)
    assert isinstance(heard[-1], Final)
    assert heard[-1].text == SAID
    assert heard[-1].words[0].text == "He"
    assert command.stderr.read() == b""


async def test_a_second_signal_does_what_signals_do() -> None:
    stopped = asyncio.Event()

    class Endless:
        rate, channels, stop = 16000, 1, staticmethod(stopped.set)

    before = signal.getsignal(signal.SIGINT)
    with _stopped_by_signals(Endless()):  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(stopped.wait(), 5)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_on_a_terminal_it_tells_when_it_listens(start: Any, terminal: Any, pcm: bytes) -> None:
    command = start("listen", "-", stdout=terminal.end, stderr=terminal.end)
    command.stdin.write(pcm)
    command.stdin.close()
    shown = terminal.screen()
    assert command.wait(20) == 0
    assert shown.startswith("voxtral: listening (whisper-tiny.en); Ctrl-C ends\r\n")
    assert f"{SAID}\r\n" in shown


def test_what_the_engine_cannot_do_is_told_before_anybody_speaks(start: Any) -> None:
    command = start("listen", "-", "--language", "fr")
    assert command.wait(20) == 1
    assert command.stderr.read() == b"voxtral: language: whisper has only en\n"


def test_whoever_reads_may_leave(start: Any, pcm: bytes) -> None:
    command = start("listen", "-", "--json")
    command.stdout.close()
    command.stdin.write(pcm)
    command.stdin.flush()
    assert command.wait(20) == 141
    assert command.stderr.read() == b""
