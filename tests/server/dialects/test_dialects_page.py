"""What docs/dialects.md says of Mistral's and vLLM's clients is what happens, engine by engine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import UnsupportedOption
from voxtral_streaming.server.dialects import vllm
from voxtral_streaming.server.dialects.actions import SessionFacts
from voxtral_streaming.server.dialects.mistral import realtime
from voxtral_streaming.server.dialects.mistral.recording import AGENT, MARKS, RecordingFields, read_recording
from voxtral_streaming.server.dialects.strict_json import dump_object

ENGINES = {
    "`whisper`": Capabilities("whisper", "loaded", True, "word", ("en",), True),
    "`voxtral_realtime`": Capabilities("voxtral_realtime", "loaded", True, "segment", ("en",), True, delay_ms=(80,)),
    "`voxtral`": Capabilities("voxtral", "loaded", True, "none", ("en",), True),
}
OFFLINE: dict[str, list[dict[str, Any]]] = {
    "name the language": [{"language": "en"}],
    "words to expect": [{"context_bias": ["Ada"]}],
    "times of utterances": [{"timestamp_granularities": ["segment"]}],
    "times of words": [{"timestamp_granularities": ["word"]}],
    "tell speakers apart": [{"diarize": True}, {"speaker_references": '{"Ada": ""}'}],
}
LIVE: dict[str, list[dict[str, Any]]] = {
    "name the language": [{"language": "en"}],
    "words to expect": [{"context_bias": ["Ada"]}],
    "look-ahead": [{"target_streaming_delay_ms": 80}],
    "tell speakers apart": [{"diarize": True}, {"speaker_references": {"Ada": ""}}],
}


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "dialects.md").read_text(encoding="utf-8")


def chapter(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def promises(page: str) -> dict[str, dict[str, str]]:
    """Of each feature, what the page says of each engine."""
    lines = [line for line in chapter(page, "What depends on the engine").splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(head[2:], row[2:], strict=True)) for row in rows}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("feature", OFFLINE)
def test_recordings(page: str, feature: str, engine: str) -> None:
    for fields in OFFLINE[feature]:
        with promised(promises(page)[feature][engine]):
            read_recording(RecordingFields(**fields), ENGINES[engine])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("feature", LIVE)
def test_live(page: str, feature: str, engine: str) -> None:
    for session in LIVE[feature]:
        dialect = realtime.MistralRealtime(SessionFacts("id", ENGINES[engine], None, 60.0, 14.0))
        with promised(promises(page)[feature][engine]):
            dialect.receive(dump_object({"type": "session.update", "session": session}))


def promised(promise: str) -> AbstractContextManager[Any]:
    """What the page says is what happens."""
    return pytest.raises(UnsupportedOption) if promise == "refused" else nullcontext()


def test_every_message_of_mistrals_is_there(page: str) -> None:
    live = chapter(page, "Mistral, live")
    names = [*realtime._MESSAGES, *realtime._SessionFields.model_fields]
    assert [name for name in names if f"`{name}`" not in live] == []


def test_every_field_of_mistrals_is_there(page: str) -> None:
    recordings = chapter(page, "Mistral, recordings")
    names = {*RecordingFields.model_fields, *MARKS, AGENT} - {"model"}
    assert [name for name in names if f"`{name}`" not in recordings] == []


def test_every_message_and_code_of_vllms_is_there(page: str) -> None:
    told = chapter(page, "vLLM")
    assert [name for name in (*vllm._MESSAGES, *vllm.CODES.values()) if f"`{name}`" not in told] == []
