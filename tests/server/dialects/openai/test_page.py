"""What docs/dialects.md says of OpenAI's interface is what happens, engine by engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import VoxtralError
from voxtral_streaming.server.audio_forms import Form
from voxtral_streaming.server.dialects.actions import Rejected, Reply, SessionFacts
from voxtral_streaming.server.dialects.openai.realtime import OpenAIRealtime
from voxtral_streaming.server.dialects.openai.recording import LISTS, Asked, Chunking, options

ENGINES = {
    "whisper": Capabilities("whisper", "loaded", True, "word", ("en",), True),
    "voxtral_realtime": Capabilities("voxtral_realtime", "loaded", True, "segment", ("en",), True, delay_ms=(80, 480)),
    "voxtral": Capabilities("voxtral", "loaded", True, "none", ("en",), True),
}
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = "timestamp_granularities[]"

RECORDINGS: dict[str, list[dict[str, list[str]]]] = {
    "`model`: the loaded one, or one of OpenAI's for transcription": [{"model": ["loaded"]}, {"model": ["whisper-1"]}],
    "`model`: any other": [{"model": ["gpt-5"]}],
    "`language`": [{"language": ["en"]}],
    "`languages`, one": [{"languages[]": ["en"]}],
    "`languages`, several": [{"languages[]": ["en", "fr"]}],
    "`prompt`": [{"prompt": ["Ada"]}],
    "`keywords`": [{"keywords[]": ["Ada", "Grace"]}],
    "`temperature` 0": [{"temperature": ["0"]}],
    "`temperature`, another": [{"temperature": ["0.2"]}],
    "`response_format` `json`, `text`, `srt`, `verbose_json`, `vtt`": [{"response_format": [one]} for one in FORMATS],
    "`response_format` `diarized_json`, `known_speaker_names`": [
        {"response_format": ["diarized_json"]},
        {"known_speaker_names[]": ["Ada"]},
    ],
    "`timestamp_granularities` `segment`": [{GRANULARITIES: ["segment"], "response_format": ["verbose_json"]}],
    "`timestamp_granularities` `word`": [{GRANULARITIES: ["word"], "response_format": ["verbose_json"]}],
    "`include` `logprobs`": [{"include[]": ["logprobs"]}],
    "`stream`": [{"stream": ["true"]}],
}
HEARD: dict[str, list[dict[str, Any]]] = {
    "`format` `audio/pcm` at 8 to 768 kHz, `audio/pcmu`, `audio/pcma`": [
        {"format": {"type": "audio/pcm", "rate": 8_000}},
        {"format": {"type": "audio/pcm", "rate": 768_000}},
        {"format": {"type": "audio/pcmu"}},
        {"format": {"type": "audio/pcma"}},
    ],
    "`transcription.model`: the loaded one, or one of OpenAI's": [{"transcription": {"model": "whisper-1"}}],
    "`transcription.model`: any other": [{"transcription": {"model": "gpt-5"}}],
    "`transcription.language`": [{"transcription": {"language": "en"}}],
    "`transcription.languages`, one": [{"transcription": {"languages": ["en"]}}],
    "`transcription.languages`, several": [{"transcription": {"languages": ["en", "fr"]}}],
    "`transcription.prompt`, `transcription.keywords`": [
        {"transcription": {"prompt": "Ada"}},
        {"transcription": {"keywords": ["Ada"]}},
    ],
    "`transcription.delay`": [{"transcription": {"delay": "low"}}],
    "`turn_detection` `server_vad`, `threshold`, `prefix_padding_ms`, `silence_duration_ms`": [
        {
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.4,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
            }
        }
    ],
    "`turn_detection` null: commits by the client": [{"turn_detection": None}],
    "`turn_detection` `semantic_vad`": [{"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}],
    "`turn_detection.create_response` true": [{"turn_detection": {"type": "server_vad", "create_response": True}}],
    "`turn_detection.idle_timeout_ms`": [{"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}],
    "`noise_reduction`": [{"noise_reduction": {"type": "far_field"}}],
}
SESSIONS: dict[str, list[dict[str, Any]]] = {
    "`type` `transcription`": [{"type": "transcription"}],
    "`type` `realtime`, `response.create`": [{"type": "realtime"}],
    "`include` logprobs": [{"include": ["item.input_audio_transcription.logprobs"]}],
    **{name: [{"audio": {"input": one}} for one in cases] for name, cases in HEARD.items()},
}
ELSEWHERE = {  # tested with a server
    "`chunking_strategy` `auto`, `server_vad` and its parameters",
    "`/v1/audio/translations`",
    "a change of the session once audio has come",
}


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The verdicts of a table, by feature."""
    lines = page.split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert cells[0] == ["feature", *ENGINES]
    return {feature: verdicts for feature, *verdicts in cells[1:]}


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "dialects.md").read_text(encoding="utf-8")


def of_recording(fields: dict[str, list[str]], can: Capabilities) -> str:
    try:
        options(Form(fields, None).fields(Asked, LISTS), can)
    except VoxtralError:
        return "refused"
    return "yes"


def of_session(session: dict[str, Any], can: Capabilities) -> str:
    dialect = OpenAIRealtime(SessionFacts("id", can, None, 60.0, 26.0), 0)
    (action,) = dialect.receive(json.dumps({"type": "session.update", "session": session}))
    if isinstance(action, Rejected):
        return "refused"
    assert isinstance(action, Reply)
    return "warned" if json.loads(action.frame)["warnings"] else "yes"


@pytest.mark.parametrize(
    ("heading", "cases", "verdict"),
    [("OpenAI, recordings", RECORDINGS, of_recording), ("OpenAI, live", SESSIONS, of_session)],
)
def test_the_table_is_true(heading: str, cases: dict[str, list[Any]], verdict: Any, page: str) -> None:
    table = rows(page, heading)
    assert table.keys() - ELSEWHERE == cases.keys()
    for feature, examples in cases.items():
        for engine, told in zip(ENGINES.values(), table[feature], strict=True):
            assert {verdict(example, engine) for example in examples} == {told}, f"{feature}: {engine.name}"


def test_chunking_is_read() -> None:
    assert Form({"type": ["server_vad"], "threshold": ["0.4"]}, None).fields(Chunking, frozenset()).threshold == 0.4
