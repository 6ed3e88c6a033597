"""What a client of OpenAI's Realtime API hears of its turns."""

from __future__ import annotations

from collections.abc import Sequence

from voxtral_streaming.errors import EngineError, ProtocolError, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Closed,
    Failed,
    Flushed,
    Notice,
    Rejected,
    Warned,
)
from voxtral_streaming.server.dialects.openai.errors import shape_of
from voxtral_streaming.server.dialects.openai.items import Event, Item, committed
from voxtral_streaming.server.dialects.openai.session import InForce
from voxtral_streaming.transcript import Cleared, Final, Partial, SpeechStarted


class EmptyCommit(ProtocolError):
    """A commit with no audio to speak of."""

    code = "input_audio_buffer_commit_empty"


def empty_commit() -> EmptyCommit:
    """There is less audio than a turn needs."""
    return EmptyCommit("the buffer holds too little audio, or no speech, to be committed")


class Conversation:
    """The turns of a session, which follow each other.

    With turn detection an item is an utterance. Without, it is what lies between two commits or clears of the client,
    so that whoever counts these knows its id.
    """

    def __init__(self, session_id: str, session: InForce) -> None:
        self._session_id = session_id
        self._n_items = 0
        self._item: Item | None = None
        self._previous: str | None = None  # the last item that was committed
        self._has_final = False  # since the last flush
        self.session = session
        self.is_flat = False  # the client knows the older shape

    def item_id(self, number: int) -> str:
        """The id of an item, counted from 0."""
        return f"item_{self._session_id[:12]}_{number}"

    def events(self, notice: Notice) -> Sequence[Event]:
        """What is told of a notice; nothing of what this protocol has no word for."""
        detects_turns = self.session.start.turns.detect
        match notice:
            case SpeechStarted(at=at) if detects_turns:
                return [self._open().started(at)]
            case Partial(stable=stable):
                return self._open().grow(stable)
            case Final() if detects_turns:
                return self._end_utterance(notice)
            case Final():
                return self._open().settle(notice)
            case Flushed(event_id):
                return self._end_turn(event_id)
            case Cleared():
                self._next()
                return [{"type": "input_audio_buffer.cleared"}]
            case Rejected(error, event_id):
                return [_error(error, event_id)]
            case Warned(code, message, param):
                shape = {"type": "server_error", "code": code, "message": message, "param": param}
                return [{"type": "error", "error": {**shape, "event_id": None}}]
            case Failed(error):
                return self._fail(error)
            case Closed() if self._item is not None and self._item.has_text:
                return [*self.commit(self._item.id), self._complete()]
            case _:
                return []

    def commit(self, item_id: str) -> Sequence[Event]:
        """The turn of that item is over; its text follows."""
        previous, self._previous = self._previous, item_id
        return committed(item_id, previous, is_flat=self.is_flat)

    def _open(self) -> Item:
        self._item = self._item or Item(self.item_id(self._n_items))
        return self._item

    def _next(self) -> None:
        self._n_items += 1
        self._item = None

    def _end_utterance(self, final: Final) -> Sequence[Event]:
        self._has_final = True
        item = self._open()
        ended = [item.stopped(final.end_sample), *self.commit(item.id)]
        return [*ended, *item.settle(final), self._complete()]

    def _end_turn(self, event_id: str | None) -> Sequence[Event]:
        if not self.session.start.turns.detect:
            return [self._complete()]
        has_final, self._has_final = self._has_final, False
        return [] if has_final else [_error(empty_commit(), event_id)]

    def _complete(self) -> Event:
        completed = self._open().completed(logprobs=self.session.logprobs)
        self._next()
        return completed

    def _fail(self, error: VoxtralError) -> Sequence[Event]:
        failed = [self._item.failed(error)] if self._item and isinstance(error, EngineError) else []
        return [*failed, _error(error, None)]


def _error(error: VoxtralError, event_id: str | None) -> Event:
    return {"type": "error", "error": {**shape_of(error), "event_id": event_id}}
