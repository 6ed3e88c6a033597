"""Deepgram's answer to a recording, and its errors over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from uuid import NAMESPACE_OID, UUID, uuid5

from voxtral_streaming.engines.base import Capabilities
from voxtral_streaming.errors import AudioError, FetchError, SourceForbidden, UnsupportedOption, VoxtralError
from voxtral_streaming.server.dialects.deepgram.query import Recording
from voxtral_streaming.server.dialects.deepgram.results import Json, alternative, metadata, model_info, model_uuid
from voxtral_streaming.server.errors import InvalidRequest, Overloaded, Unauthorized, entry_for, problem
from voxtral_streaming.transcript import Segment, Transcript

CODES: Mapping[type[VoxtralError], str] = {
    InvalidRequest: "INVALID_QUERY_PARAMETER",
    UnsupportedOption: "INVALID_QUERY_PARAMETER",
    SourceForbidden: "REMOTE_CONTENT_ERROR",
    FetchError: "REMOTE_CONTENT_ERROR",
    AudioError: "Bad Request",
    Unauthorized: "INVALID_AUTH",
    Overloaded: "TOO_MANY_REQUESTS",
}
STATUSES: Mapping[int, int] = {415: 400, 422: 400, 502: 400, 504: 400}  # where ours are not Deepgram's


def response(
    transcript: Transcript, asked: Recording, can: Capabilities, *, id_: UUID, audio: bytes, created: datetime
) -> Json:
    """The whole answer; `created` in UTC."""
    model = model_uuid(can)
    told = metadata(str(id_), hashlib.sha256(audio).hexdigest(), created, transcript.duration, asked.asked)
    told |= {"models": [model], "model_info": {model: model_info(can)}}
    words = tuple(chain.from_iterable(segment.words for segment in transcript.segments))
    languages = _languages(transcript)
    best = alternative(transcript.text, words, languages, is_multilingual=asked.asked.is_multilingual)
    channel: Json = {"alternatives": [best]}
    if asked.has_language:
        channel["detected_language"] = transcript.language
    results: Json = {"channels": [channel]}
    if asked.has_utterances:
        results["utterances"] = [_utterance(segment, asked, id_) for segment in transcript.segments]
    return {"metadata": told, "results": results}


def _languages(transcript: Transcript) -> list[str]:
    """Those of the transcript, that of most segments first."""
    spoken = [segment.language for segment in transcript.segments if segment.language]
    return sorted(set(spoken), key=lambda language: (-spoken.count(language), language))


def _utterance(segment: Segment, asked: Recording, request: UUID) -> Json:
    languages = [segment.language] if segment.language else []
    return {
        "id": str(uuid5(NAMESPACE_OID, f"{request} {segment.id}")),
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "channel": 0,
        **alternative(segment.text, segment.words, languages, is_multilingual=asked.asked.is_multilingual),
    }


def refusal(error: VoxtralError, id_: UUID) -> Json:
    """An error as Deepgram's clients read it."""
    code = entry_for(error, {VoxtralError: error.code.upper(), **CODES})
    return {"err_code": code, "err_msg": problem(error)["message"], "request_id": str(id_)}


def refusal_status(status: int) -> int:
    """The HTTP status of an error that has this one elsewhere."""
    return STATUSES.get(status, status)
