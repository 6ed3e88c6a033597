"""`voxtral transcribe`, with the small built-in model and real recordings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.cli import transcribing
from voxtral_streaming.config import load_config
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.errors import EngineFailed
from voxtral_streaming.transcriber import Transcriber
from voxtral_streaming.transcript import Hypothesis

SAID = ("had then leisure to consider", "to be ill-disposed", "have been made amiable himself")  # in the folder's order


@pytest.fixture
def no_recording(tmp_path: Path) -> Path:
    path = tmp_path / "notes.mp3"
    path.write_text("Not a sound.")
    return path


def test_one_recording_that_fails_does_not_stop_the_others(voxtral: Any, speech: Path, no_recording: Path) -> None:
    (empty := no_recording.parent / "empty").mkdir()
    result = voxtral("transcribe", no_recording, speech, "missing.wav", "http://127.0.0.1:9/a.wav", empty)
    assert result.returncode == 1
    lines = result.stdout.decode().splitlines()
    assert len(lines) == len(SAID)
    assert all(said in line for said, line in zip(SAID, lines, strict=True))
    complaints = result.stderr.decode().splitlines()
    assert complaints[0] == f"voxtral: {empty}: there are no recordings below this folder"
    assert complaints[1].startswith(f"voxtral: {no_recording}: ")
    assert complaints[2] == "voxtral: missing.wav cannot be read: No such file or directory"
    assert complaints[3].startswith("voxtral: http://127.0.0.1:9/a.wav: ")
    assert len(complaints) == 4


def test_standard_input_is_a_recording_like_any_other(voxtral: Any, short: Path, tmp_path: Path) -> None:
    result = voxtral("transcribe", "-", short, "--format", "verbose_json", stdin=short.read_bytes())
    assert (result.returncode, result.stderr) == (0, b"")
    piped, named = map(json.loads, result.stdout.splitlines())
    assert piped == named
    assert SAID[2] in piped["text"]
    assert [word["text"] for word in piped["segments"][0]["words"]] == piped["text"].split()


def test_a_file_for_each_recording_of_a_folder(voxtral: Any, speech: Path, tmp_path: Path) -> None:
    result = voxtral("transcribe", speech, "--format", "vtt", "--output", "captions")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    written = sorted((tmp_path / "captions").iterdir())
    assert [path.name for path in written] == [f"en_librivox_{number}.vtt" for number in ("0870", "0890", "0930")]
    for path, said in zip(written, SAID, strict=True):
        header, *cues = path.read_text("utf-8").split("\n\n")
        assert header == "WEBVTT"
        assert said in " ".join(" ".join(cue.splitlines()[1:]) for cue in cues)


def test_what_the_engine_cannot_do_is_told_before_anything_is_read(voxtral: Any) -> None:
    result = voxtral("transcribe", "missing.wav", "--prompt", "Dashwood")
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"voxtral: prompt: whisper takes none\n")


def test_a_terminal_is_no_recording(start: Any, terminal: Any) -> None:
    command = start("transcribe", "-", stdin=terminal.end)
    assert command.wait(20) == 2
    assert "standard input is a terminal" in command.stderr.read().decode()


def test_a_long_recording_has_a_bar_on_a_terminal(start: Any, terminal: Any, speech: Path, tmp_path: Path) -> None:
    clips = [soundfile.read(path, dtype="int16")[0] for path in sorted(speech.glob("*.flac"))]
    soundfile.write(tmp_path / "talk [1].wav", np.concatenate([*clips] * 3), 16000)
    command = start("transcribe", "talk [1].wav", stderr=terminal.end)
    shown = terminal.screen()
    said, _ = command.communicate(timeout=20)
    assert command.returncode == 0
    assert "talk [1].wav" in shown
    assert "%" in shown
    assert said.decode().count("amiable") == 3
    assert said.count(b"\n") == 1


@dataclass
class Moody:
    """An engine that fails at every other utterance; it is its own only stream."""

    n_asked: int = 0
    capabilities = Capabilities(
        name="moody",
        model="moody",
        partials=False,
        timestamps="none",
        languages=("en",),
        detects_language=False,
    )

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, options: StreamOptions, at: int) -> Any:
        return self.Stream(self)

    @dataclass
    class Stream:
        engine: Moody

        def feed(self, samples: Samples) -> None: ...

        async def partial(self) -> Hypothesis:
            await asyncio.Event().wait()
            return Hypothesis()

        async def flush(self) -> Hypothesis:
            return Hypothesis()

        async def finish(self) -> Hypothesis:
            self.engine.n_asked += 1
            if self.engine.n_asked % 2:
                raise EngineFailed("not in the mood")
            return Hypothesis("said")

        def close(self) -> None: ...


def test_recognition_that_fails_does_not_stop_the_other_recordings(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcribing, "Transcriber", partial(Transcriber, engine=Moody()))
    sources = [str(tmp_path / name) for name in ("first.flac", "second.flac")]
    for source in sources:
        Path(source).write_bytes(short.read_bytes())
    assert transcribing.run(load_config(None, {}), sources, "text", StreamOptions(), None) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("said\n", f"voxtral: {sources[0]}: not in the mood\n")
