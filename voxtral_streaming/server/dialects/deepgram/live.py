"""Deepgram's live `/v1/listen` as its clients speak it: raw audio in binary frames, results in text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from voxtral_streaming.audio.pcm import CODE, DTYPES
from voxtral_streaming.audio.units import samples_from_seconds, seconds
from voxtral_streaming.errors import ProtocolError, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    Close,
    Closed,
    Failed,
    Flush,
    Flushed,
    Frame,
    KeepAlive,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
    Started,
    Tick,
    Warned,
)
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.deepgram.query import Live
from voxtral_streaming.server.dialects.deepgram.results import (
    Json,
    alternative,
    metadata,
    model_info,
    model_uuid,
    request_id,
)
from voxtral_streaming.server.dialects.strict_json import dump_object, parse_object
from voxtral_streaming.server.errors import IdleTimeout, InvalidJson, MessageTooLarge, TooManySessions, problem
from voxtral_streaming.server.limits import MAX_CONTROL_CHARS
from voxtral_streaming.transcript import Cleared, Final, Heard, Partial, SpeechStarted, SpeechStopped, Word

CHANNEL_INDEX = (0, 1)  # the first of one: channels are mixed
TICKS_PER_SECOND = 10  # how often silence is measured, for `UtteranceEnd`
CLOSE_CODES: dict[type[VoxtralError], int] = {IdleTimeout: 1011, TooManySessions: 1013}


class DeepgramLive:
    """One session's side of the protocol. `asked` is what its query asks for, `opened_at` in UTC."""

    subprotocols: ClassVar[tuple[str, ...]] = ("token", "bearer")

    def __init__(self, facts: SessionFacts, *, asked: Live, opened_at: datetime) -> None:
        self._asked = asked
        self._request_id = request_id(facts.id)
        self._opened_at = opened_at
        self._result_metadata: Json = {
            "request_id": self._request_id,
            "model_info": model_info(facts.capabilities),
            "model_uuid": model_uuid(facts.capabilities),
        }
        if asked.asked.warnings:
            self._result_metadata["warnings"] = asked.asked.warnings
        audio = asked.start.audio
        bytes_per_second = audio.sample_rate * audio.channels * DTYPES.get(audio.encoding, CODE).itemsize
        self._bytes_per_tick = bytes_per_second // TICKS_PER_SECOND
        self._since_tick = 0  # bytes
        self._digest = hashlib.sha256()
        self._is_started = False
        self._is_closed = False
        self._n_finalizing = 0  # `Finalize` that are not answered yet
        self._held: Json | None = None  # the last result, while it may be the answer to one
        self._start = 0  # of the open utterance, in samples
        self._stopped: int | None = None  # where its speech stopped, in samples
        self._end = 0  # of the last result that is final, in samples
        self._last_word_end: int | None = None  # in samples, until `UtteranceEnd` was said

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for; an empty one ends the audio, and what follows the end is ignored."""
        if self._is_closed:
            return ()
        if isinstance(frame, bytes):
            return self._audio(frame) if frame else self._close()
        if len(frame) > MAX_CONTROL_CHARS:
            raise MessageTooLarge(f"a text message may have {MAX_CONTROL_CHARS} characters")
        try:
            return self._control(parse_object(frame))
        except (InvalidJson, ProtocolError) as error:
            return [Rejected(error)]

    def _audio(self, data: bytes) -> Sequence[Action]:
        self._digest.update(data)
        self._since_tick += len(data)
        if self._asked.utterance_end is None or self._since_tick < self._bytes_per_tick:
            return self._in_session(Audio(data))
        self._since_tick = 0
        return self._in_session(Audio(data), Tick())

    def _control(self, message: Json) -> Sequence[Action]:
        match message.get("type"):
            case "KeepAlive":
                return [KeepAlive()]
            case "Finalize" if message.get("channel", 0) in (0, None):
                self._n_finalizing += 1
                return self._in_session(Flush(None))
            case "Finalize":
                raise ProtocolError("channel: there is only channel 0", param="channel")
            case "CloseStream":
                return self._close()
            case "Configure":
                return [Reply(dump_object(self._configure_failure()))]
            case _:
                raise ProtocolError("type: must be one of KeepAlive, Finalize, CloseStream, Configure", param="type")

    def _configure_failure(self) -> Json:
        return {
            "type": "ConfigureFailure",
            "request_id": self._request_id,
            "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
            "description": "what is expected is named in the query, and cannot be changed later",
        }

    def _close(self) -> Sequence[Action]:
        self._is_closed = True
        return [Close()]

    def _in_session(self, *actions: Action) -> Sequence[Action]:
        """The actions, after the start that the query asks for."""
        if self._is_started:
            return actions
        self._is_started = True
        return [self._asked.start, *actions]

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The messages that a notice makes; a result waits for the next one while a `Finalize` is not answered."""
        match notice:
            case Reply(frame):
                return [frame]
            case Rejected(error):
                return [dump_object({"type": "Error", "variant": "SchemaError", "description": error.message})]
            case Opened() | Started() | Warned() | Cleared():
                return ()
            case Heard() if self._held:
                return ()  # it tells nothing of what follows the result
            case _:
                return [dump_object(message) for message in (*self._release(notice), *self._messages(notice))]

    def _release(self, notice: Notice) -> Sequence[Json]:
        """The result that waits, if one does, now that it is known whether a `Finalize` brought it."""
        held, self._held = self._held, None
        if isinstance(notice, Flushed):
            self._n_finalizing -= 1
            answer = held or self._result(self._end, self._end, "")
            return [{**answer, "speech_final": True, "from_finalize": True}]
        return [held] if held else []

    def _messages(self, notice: Notice) -> Sequence[Json]:
        match notice:
            case SpeechStarted(at=at):
                return self._speech_started(at)
            case Partial(at=at) if self._asked.asked.options.partials:
                text = f"{notice.stable}{notice.tentative}".strip()
                return [self._result(self._start, at, text, is_final=False)]
            case SpeechStopped(at=at):
                self._stopped = at
            case Final():
                return self._final(notice)
            case Heard(at):
                return self._silence_until(at)
            case Failed(error):
                return [{"type": "Error", "variant": error.code, "description": problem(error)["message"]}]
            case Closed():
                return [*self._silence_until(notice.received), self._goodbye(notice)]
        return []

    def _speech_started(self, at: int) -> Sequence[Json]:
        self._start, self._stopped = at, None
        started = {"type": "SpeechStarted", "channel": CHANNEL_INDEX, "timestamp": round(seconds(at), 3)}
        return [*self._silence_until(at), *([started] if self._asked.has_speech_started else [])]

    def _final(self, final: Final) -> Sequence[Json]:
        """Speech ended, rather than being cut, where the utterance ends as its speech stopped."""
        is_end = final.end_sample == self._stopped and self._asked.has_endpoints
        result = self._result(
            final.start_sample, final.end_sample, final.text, final.words, final.language, is_end=is_end
        )
        self._end = final.end_sample
        if final.text:
            last = samples_from_seconds(final.words[-1].end) if final.words else final.end_sample
            self._last_word_end = last
        if self._n_finalizing:
            self._held = result
            return []
        return [result]

    def _result(
        self,
        start: int,
        end: int,
        text: str,
        words: Sequence[Word] = (),
        language: str | None = None,
        *,
        is_final: bool = True,
        is_end: bool = False,
    ) -> Json:
        languages = [language] if language else []
        best = alternative(text, words, languages, is_multilingual=self._asked.asked.is_multilingual)
        return {
            "type": "Results",
            "channel_index": CHANNEL_INDEX,
            "start": round(seconds(start), 3),
            "duration": round(seconds(end - start), 3),
            "is_final": is_final,
            "speech_final": is_end,
            "from_finalize": False,
            "channel": {"alternatives": [best]},
            "metadata": self._result_metadata,
        }

    def _silence_until(self, at: int) -> Sequence[Json]:
        """`UtteranceEnd`, if nobody said a word up to `at` for as long as the client wants to know of."""
        last, wanted = self._last_word_end, self._asked.utterance_end
        if last is None or wanted is None or at - last < wanted:
            return []
        self._last_word_end = None
        return [{"type": "UtteranceEnd", "channel": CHANNEL_INDEX, "last_word_end": round(seconds(last), 3)}]

    def _goodbye(self, closed: Closed) -> Json:
        digest, duration = self._digest.hexdigest(), seconds(closed.received)
        told = metadata(self._request_id, digest, self._opened_at, duration, self._asked.asked)
        return {"type": "Metadata", **told}

    def close_code(self, error: VoxtralError) -> int:
        """1011 where nothing came for too long, as Deepgram has it; else the native one."""
        return CLOSE_CODES.get(type(error)) or close_code(error)
