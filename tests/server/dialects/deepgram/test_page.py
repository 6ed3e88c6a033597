"""What docs/dialects.md says of Deepgram's options is what happens, engine by engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.dialects.deepgram.query import Asked, read_live, read_recording

Items = list[tuple[str, str]]

ENGINES = {
    "whisper": Capabilities("whisper", "loaded", True, "word", ("en",), True),
    "voxtral_realtime": Capabilities("voxtral_realtime", "x", True, "segment", ("en",), True, tells_language=False),
    "voxtral": Capabilities("voxtral", "x", True, "none", ("en",), True, tells_language=False),
}
RAW: Items = [("encoding", "linear16"), ("sample_rate", "16000")]
VALUES = {
    "model": "nova-3",
    "version": "latest",
    "language": "en-US",
    "utterance_end_ms": "1000",
    "tag": "mine",
    "extra": "who:me",
    "keyterm": "Ada",
    "keywords": "Ada",
    "utt_split": "0.8",
    "encoding": "linear16",
    "sample_rate": "16000",
    "channels": "2",
}
ODD: dict[str, list[Items]] = {
    "`model`, `version`: any": [[("model", "nova-3")], [("version", "latest")]],
    "`encoding` `linear16`, `linear32`, `mulaw`, `alaw`, with `sample_rate`, `channels` (live)": [
        [("encoding", one), ("sample_rate", "8000"), ("channels", "2")]
        for one in ("linear16", "linear32", "mulaw", "alaw")
    ],
    "no `encoding`, or another (live)": [[("model", "nova-3")], [("encoding", "opus"), ("sample_rate", "48000")]],
    "`language`, `language` `multi`": [[("language", "en")], [("language", "multi")]],
    "`endpointing` `false`, or from 200 (live)": [[("endpointing", "false")], [("endpointing", "200")]],
    "`endpointing` below 200 (live)": [[("endpointing", "25")]],
    "times of words": [[]],
    "any other": [[("anything", "true")]],
}


def table(root: Path) -> dict[str, list[str]]:
    page = (root / "docs" / "dialects.md").read_text(encoding="utf-8")
    section = page.partition("\n## Deepgram\n")[2].partition("\n## ")[0]
    rows = [row.strip("|").split(" | ") for row in section.splitlines() if row.startswith("| ")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows[1:]}


def asked_by(row: str) -> list[Items]:
    """The queries that a row speaks of: the odd ones, or one for each name in it."""
    return ODD.get(row) or [[(name, VALUES.get(name, "true"))] for name in row.split("`")[1::2]]


def outcome(read: Any, items: Items, can: Capabilities, *, are_words_meant: bool) -> str:
    try:
        asked: Asked = read(items, can, None).asked
    except VoxtralError:
        return "refused"
    warned = [warning for warning in asked.warnings if (warning["parameter"] == "words") is are_words_meant]
    return "warned" if warned else "yes"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_page_says_what_happens(root: Path, engine: str) -> None:
    rows = table(root)
    assert rows.keys() >= ODD.keys()
    for row, cells in rows.items():
        said = cells[list(ENGINES).index(engine)]
        for items in asked_by(row):
            for read in (read_live, read_recording):
                is_live = read is read_live
                if ("(live)" in row and not is_live) or ("(recordings)" in row and is_live):
                    continue
                query = items if not is_live or "encoding" in row else [*RAW, *items]
                happens = outcome(read, query, ENGINES[engine], are_words_meant=row == "times of words")
                assert happens == said, (row, items, read)
