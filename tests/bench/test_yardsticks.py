from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import accuracy, offline
from bench.clips import Clip
from voxtral_streaming.audio.units import SAMPLE_RATE


def _clip(name: str, language: str, kind: str, reference: str) -> Clip:
    clip = Clip(Path(f"{name}.wav"), language, reference, kind)
    clip.__dict__["samples"] = np.full(SAMPLE_RATE, 0.25, dtype=np.float32)
    return clip


CLIPS = [
    _clip("a", "en", "real", "go forward ten meters"),
    _clip("b", "fr", "real", "appuyez sur deux"),
    _clip("c", "ns", "nonspeech", "(none)"),
]


def _text(table: object) -> str:
    console = Console(record=True, width=160)
    console.print(table)
    return console.export_text()


def test_the_table_has_a_line_for_each_group_that_there_is() -> None:
    heard = {"plain": dict(zip(CLIPS, ["Go forward 10 meters.", "Appuyez sur 3.", "you"], strict=True))}
    lines = {
        line.split("│")[1].strip(): line for line in _text(accuracy.table(CLIPS, heard)).splitlines() if "│" in line
    }
    assert set(lines) == {
        "English, real", "French, real", "French, Spanish, Italian, real", "No speech (words heard)",
    }  # fmt: skip
    assert "0.0 (0/4)" in lines["English, real"]
    assert "33.3 (1/3)" in lines["French, real"]
    assert "1 words" in lines["No speech (words heard)"]


def test_a_long_recording_has_all_clips_and_their_references(tmp_path: Path) -> None:
    clip = offline.long_recording(CLIPS[:2], tmp_path, duration=8)
    assert clip.reference == "go forward ten meters appuyez sur deux go forward ten meters appuyez sur deux"
    assert len(clip.samples) == 8 * SAMPLE_RATE
    assert clip.samples[100] == pytest.approx(0.25, abs=1e-3)


def test_shuffled_recordings_are_of_all_clips_in_other_orders_and_always_the_same(tmp_path: Path) -> None:
    first = offline.shuffled_recordings(CLIPS[:2], tmp_path, 8)
    assert {clip.reference for clip in first} == {
        f"{CLIPS[0].reference} {CLIPS[1].reference}",
        f"{CLIPS[1].reference} {CLIPS[0].reference}",
    }
    assert len({len(clip.samples) for clip in first}) > 1
    assert [clip.samples[100] for clip in first] == pytest.approx([0.25, 0.075] * 4, abs=1e-3)
    again = offline.shuffled_recordings(CLIPS[:2], tmp_path, 8)
    assert [clip.reference for clip in again] == [clip.reference for clip in first]


def test_everybody_races_over_the_same_clips() -> None:
    async def perfect(clip: Clip) -> str:
        await asyncio.sleep(0.01)
        return clip.reference or ""

    async def deaf(clip: Clip) -> str:
        await asyncio.sleep(0.3)
        return ""

    runs = asyncio.run(offline.race({offline.OURS: perfect, "other": deaf}, CLIPS[:2], repeats=3))
    assert [len(run.wall) for run in runs.values()] == [3, 3]
    assert (runs[offline.OURS].errors.errors, runs["other"].errors.missing) == (0, 7)
    assert runs["other"].wall[0] > runs[offline.OURS].wall[0] > 0.01
    shown = _text(offline.table("two clips", 2.0, runs))
    assert "100.0 % (7/7)" in shown
    assert "1.00" in shown
