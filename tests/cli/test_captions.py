"""What the captions of a live stream look like."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from voxtral_streaming.cli.captions import open_captions
from voxtral_streaming.transcript import Event, Final, Flushed, Partial, SpeechStarted, SpeechStopped, Word

EVENTS: tuple[Event, ...] = (
    SpeechStarted(0, 1600),
    Partial(0, 8000, " Là-bas, ", "[bold]lo"),
    SpeechStopped(0, 16000),
    Final(0, 1600, 24000, "Là-bas, [bold]lower.", (Word("Là-bas,", 0.1, 0.5, 0.75),), "fr"),
    Final(1, 32000, 40000, ""),
    Flushed(),
)


def show(*, as_json: bool = False) -> None:
    with open_captions(as_json=as_json) as captions:
        for event in EVENTS:
            captions.show(event)


def test_elsewhere_than_on_a_terminal_finals_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show()
    assert capsys.readouterr().out == "Là-bas, [bold]lower.\n"


def test_json_is_that_of_the_websocket(capsys: pytest.CaptureFixture[str]) -> None:
    show(as_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"type": "speech_started", "utterance": 0, "at": 1600, "seconds": 0.1},
        {
            "type": "partial",
            "utterance": 0,
            "at": 8000,
            "seconds": 0.5,
            "stable": " Là-bas, ",
            "tentative": "[bold]lo",
        },
        {"type": "speech_stopped", "utterance": 0, "at": 16000, "seconds": 1.0},
        {
            "type": "final",
            "utterance": 0,
            "start_sample": 1600,
            "end_sample": 24000,
            "start": 0.1,
            "end": 1.5,
            "text": "Là-bas, [bold]lower.",
            "language": "fr",
            "words": [{"text": "Là-bas,", "start": 0.1, "end": 0.5, "probability": 0.75}],
        },
        {
            "type": "final",
            "utterance": 1,
            "start_sample": 32000,
            "end_sample": 40000,
            "start": 2.0,
            "end": 2.5,
            "text": "",
            "language": None,
            "words": [],
        },
    ]


def test_on_a_terminal_the_partial_is_rewritten_until_it_is_final(
    terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(terminal.end, "w", encoding="utf-8", closefd=False) as output, monkeypatch.context() as here:
        here.setattr(sys, "stdout", output)
        show()
    shown = terminal.screen()
    assert " Là" not in shown
    partial, final = shown.index("Là-bas, \x1b[90m[bold]lo"), shown.index("Là-bas, [bold]lower.\r\n")
    assert partial < shown.index("\x1b[2K", partial) < final  # its line was erased
    assert shown.count("lower.") == 1
    assert shown.index("\x1b[?25l") < partial  # the cursor hidden,
    assert final < shown.index("\x1b[?25h")  # and shown again
