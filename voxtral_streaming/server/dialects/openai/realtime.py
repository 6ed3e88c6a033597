"""OpenAI's Realtime API, transcription sessions: `/v1/realtime?intent=transcription`.

With turn detection an utterance is a turn and an item; without, a turn lasts from one commit to the next and may hold
several utterances. Deltas are what is stable, so they only append; `completed` has the text that counts. A message that
is wrong is answered with an `error` that bears its `event_id`, and the session goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from voxtral_streaming.audio.encoded import decode_base64
from voxtral_streaming.errors import ProtocolError, VoxtralError
from voxtral_streaming.server.dialects import closing
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    Clear,
    Flush,
    Frame,
    Notice,
    Opened,
    Rejected,
    Reply,
    SessionFacts,
)
from voxtral_streaming.server.dialects.openai.conversation import Conversation, empty_commit
from voxtral_streaming.server.dialects.openai.items import Event
from voxtral_streaming.server.dialects.openai.messages import Append, ClearBuffer, Commit, FlatUpdate, Update, read
from voxtral_streaming.server.dialects.openai.session import SessionFields, in_force, merged
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.errors import TooManySessions
from voxtral_streaming.server.limits import MAX_FRAME_BYTES, MAX_ID_CHARS

LEAST_COMMIT_S = 0.1  # of audio; OpenAI refuses less
TRY_AGAIN_LATER = 1013
CLEARED: Event = {"type": "input_audio_buffer.cleared"}


class OpenAIRealtime:
    """One session's side of the protocol."""

    subprotocols: ClassVar[tuple[str, ...]] = ("realtime",)

    def __init__(
        self, facts: SessionFacts, created: int, *, is_flat: bool = False, asked: Mapping[str, Any] | None = None
    ) -> None:
        """`created`: now, in seconds since 1970. `is_flat`: the client knows the older shape.

        `asked`: what the session begins with, as `SessionFields` have it. Raises `ModelNotFound` and
        `UnsupportedOption` where that cannot be had.
        """
        self._facts = facts
        self._session_id = f"sess-{facts.id}"
        self._created = created
        self._asked = dict(asked or {})
        self._session = in_force(SessionFields.model_validate(self._asked), facts)
        if asked:
            self._session.check(facts.capabilities)
        self._conversation = Conversation(facts.id, self._session)
        self._conversation.is_flat = is_flat
        self._is_started = False
        self._n_buffered = 0  # bytes of audio since the last commit
        self._n_turns = 0  # that the client ended, by a commit or by a clear
        self._n_events = 0

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for."""
        event_id = None
        try:
            if isinstance(frame, bytes):
                raise ProtocolError("audio comes as base64 in `input_audio_buffer.append`")
            message = parse_object(frame)
            event_id = _event_id(message)
            return self._carry_out(read(message, len(frame)))
        except VoxtralError as error:
            return [Rejected(error, event_id)]

    def _carry_out(self, message: Update | FlatUpdate | Append | Commit | ClearBuffer) -> Sequence[Action]:
        match message:
            case Append(audio=text):
                return self._append(decode_base64(text, MAX_FRAME_BYTES))
            case Commit(event_id=event_id):
                return self._commit(event_id)
            case ClearBuffer():
                return self._clear()
            case Update(session=session):
                self._update(session.model_dump(exclude_unset=True), is_flat=False)
                return [Reply(self._frame(self._told("session.updated")))]
            case FlatUpdate(type=kind, session=flat):
                self._update(flat.nested(), is_flat=True)
                return [Reply(self._frame(self._told(f"{kind}d")))]

    def _update(self, said: dict[str, Any], *, is_flat: bool) -> None:
        asked = merged(self._asked, said)
        session = in_force(SessionFields.model_validate(asked), self._facts)
        session.check(self._facts.capabilities)
        if self._is_started and session.start != self._session.start:
            raise ProtocolError("session: it cannot be changed once audio has come", param="session")
        self._asked = asked
        self._session = self._conversation.session = session
        self._conversation.is_flat = is_flat

    def _append(self, data: bytes) -> Sequence[Action]:
        self._n_buffered += len(data)
        if self._is_started:
            return [Audio(data)]
        self._session.check(self._facts.capabilities)
        self._is_started = True
        return [self._session.start, Audio(data)]

    def _commit(self, event_id: str | None) -> Sequence[Action]:
        """With turn detection the speech decides whether there is a turn to end, without the amount of audio."""
        if self._n_buffered < LEAST_COMMIT_S * self._session.bytes_per_second:
            raise empty_commit()
        self._n_buffered = 0
        if self._session.start.turns.detect:
            return [Flush(event_id)]
        item_id = self._conversation.item_id(self._n_turns)
        self._n_turns += 1
        return [*map(Reply, self._frames(self._conversation.commit(item_id))), Flush(event_id)]

    def _clear(self) -> Sequence[Action]:
        if not self._is_started:
            return [Reply(self._frame(CLEARED))]
        self._n_buffered = 0
        self._n_turns += 1
        return [Clear()]

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The messages for a notice; none for what this protocol has no word for."""
        match notice:
            case Reply(frame):
                return [frame]
            case Opened():
                return [self._frame(self._created_event())]
            case _:
                return self._frames(self._conversation.events(notice))

    def _created_event(self) -> Event:
        """The greeting, which has what vLLM's clients expect, too."""
        if self._conversation.is_flat:
            return self._told("transcription_session.created")
        return {**self._told("session.created"), "id": self._session_id, "created": self._created}

    def _told(self, kind: str) -> Event:
        """What is in force; `warnings`, which OpenAI does not have, say what is not of what was asked for."""
        shape = self._session.flat_shape if self._conversation.is_flat else self._session.shape
        session = {"id": self._session_id, "object": "realtime.transcription_session", **shape}
        return {"type": kind, "session": session, "warnings": list(self._session.warnings)}

    def _frames(self, events: Iterable[Event]) -> list[Frame]:
        return [self._frame(event) for event in events]

    def _frame(self, event: Event) -> str:
        event_id = f"event_{self._facts.id[:12]}_{self._n_events}"
        self._n_events += 1
        return json.dumps({"event_id": event_id, **event}, ensure_ascii=False, separators=(",", ":"))

    def close_code(self, error: VoxtralError) -> int:
        """As in the native protocol, except for one session too many: OpenAI's clients try again after 1013 only."""
        return TRY_AGAIN_LATER if isinstance(error, TooManySessions) else closing.close_code(error)


def _event_id(message: dict[str, Any]) -> str | None:
    """The client's name for a message, which may be wrong in all other respects."""
    event_id = message.get("event_id")
    return event_id[:MAX_ID_CHARS] if isinstance(event_id, str) else None
