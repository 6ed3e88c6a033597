"""The microphone, with PortAudio played by the test."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, ClassVar

import pytest

from voxtral_streaming.cli import microphone
from voxtral_streaming.cli.microphone import Microphone, default_device, open_microphone
from voxtral_streaming.errors import EngineUnavailable


class PortAudioError(Exception):
    pass


class RawInputStream:
    """Calls back from a thread of its own with blocks that count from 0, as long as it is open."""

    opened: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, **settings: Any) -> None:
        self.opened.append(settings)
        self._callback = settings["callback"]
        self._n_bytes = 2 * settings["blocksize"]
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._record)

    def _record(self) -> None:
        for number in range(200):
            if self._is_closed.wait(0.001):
                return
            block = memoryview(bytes([number]) * self._n_bytes)
            self._callback(block, self._n_bytes // 2, None, SimpleNamespace(input_overflow=number == 3))

    def __enter__(self) -> RawInputStream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_closed.set()
        self._thread.join()


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine with one microphone."""
    RawInputStream.opened.clear()
    module = SimpleNamespace(
        PortAudioError=PortAudioError,
        RawInputStream=RawInputStream,
        query_devices=lambda kind: {"name": "Built-in", "default_samplerate": 48000.0},
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


@pytest.mark.usefixtures("sounddevice")
async def test_blocks_come_in_order_until_it_is_stopped() -> None:
    heard: list[bytes] = []
    async with open_microphone() as sound:
        assert (sound.rate, sound.channels) == (48000, 1)
        async for block in sound:
            heard.append(block)
            if len(heard) == 20:
                sound.stop()
    assert [block[0] for block in heard] == list(range(len(heard)))
    assert {len(block) for block in heard} == {2 * 48000 * 32 // 1000}
    (settings,) = RawInputStream.opened
    assert (settings["samplerate"], settings["channels"], settings["dtype"]) == (48000, 1, "int16")


@pytest.mark.usefixtures("sounddevice")
async def test_what_waits_when_it_is_stopped_is_heard() -> None:
    async with open_microphone() as sound:
        await asyncio.sleep(0.1)
        sound.stop()
        assert len([block async for block in sound]) > 2


async def test_what_finds_no_room_is_lost_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(microphone, "MAX_WAITING_S", 1)
    with Microphone(16000) as sound, caplog.at_level(logging.WARNING):
        for number in range(40):
            sound.take(bytes([number]), False)
        sound.stop()
        assert [block[0] async for block in sound] == list(range(1000 // 32))
    assert [record.message for record in caplog.records] == [
        "sound from the microphone was lost: this machine is too busy for the model"
    ]


@pytest.mark.usefixtures("sounddevice")
async def test_what_the_system_lost_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with open_microphone() as sound:
        async for block in sound:
            if block[0] == 5:
                sound.stop()
    assert len(caplog.records) == 1


def test_without_sounddevice_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'voxtral-streaming\[microphone\]', or pipe sound in"):
        default_device()


def test_without_portaudio_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineUnavailable, match="PortAudio is missing: install it"):
        default_device()


@pytest.mark.parametrize("error", [PortAudioError("Error querying device -1"), ValueError("No input device matching")])
def test_without_a_device(sounddevice: SimpleNamespace, error: Exception) -> None:
    def query_devices(kind: str) -> None:
        raise error

    sounddevice.query_devices = query_devices
    with pytest.raises(EngineUnavailable, match="there is no microphone"):
        default_device()


async def test_a_device_that_is_taken(sounddevice: SimpleNamespace) -> None:
    def taken(**settings: Any) -> None:
        raise PortAudioError("Device unavailable")

    sounddevice.RawInputStream = taken
    with pytest.raises(EngineUnavailable, match="Built-in cannot be opened: Device unavailable"):
        async with open_microphone():
            pass
