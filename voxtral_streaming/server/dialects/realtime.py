"""The two protocols of `/v1/realtime`, told apart by what the client says first.

Both begin with the server's `session.created`, which here has the fields of both. A client that names
`intent=transcription` speaks OpenAI's; so does one whose first message is not vLLM's flat `session.update`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from voxtral_streaming.errors import UnsupportedOption, VoxtralError
from voxtral_streaming.server.dialects.actions import Action, Dialect, Frame, Notice, SessionFacts
from voxtral_streaming.server.dialects.openai.realtime import OpenAIRealtime
from voxtral_streaming.server.dialects.strict_json import parse_object
from voxtral_streaming.server.dialects.vllm import VllmRealtime
from voxtral_streaming.server.errors import InvalidJson

BETA_HEADER = "openai-beta"  # of clients that know the older shape of OpenAI's sessions
INTENT = "transcription"


def realtime(
    facts: SessionFacts,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    asked: Mapping[str, Any],
    created: int,
) -> Dialect:
    """The dialect of a client that connects with these, and with a token that `asked` for options of the session.

    Raises `UnsupportedOption` for another intent, and what `OpenAIRealtime` raises.
    """
    if query.get("intent", INTENT) != INTENT:
        raise UnsupportedOption(f"intent: only {INTENT} is served here", param="intent")
    openai = OpenAIRealtime(facts, created, is_flat=BETA_HEADER in headers, asked=asked)
    return openai if "intent" in query else UntoldRealtime(openai, lambda: VllmRealtime(facts))


class UntoldRealtime:
    """Speaks OpenAI's protocol until the first message decides."""

    subprotocols: ClassVar[tuple[str, ...]] = OpenAIRealtime.subprotocols

    def __init__(self, openai: OpenAIRealtime, vllm: Callable[[], Dialect]) -> None:
        self._dialect: Dialect = openai
        self._vllm = vllm
        self._is_told = False

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What a frame asks for, in the protocol that the first one chose."""
        if not self._is_told:
            self._is_told = True
            if _is_vllm(frame):
                self._dialect = self._vllm()
        return self._dialect.receive(frame)

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The messages for a notice."""
        return self._dialect.encode(notice)

    def close_code(self, error: VoxtralError) -> int:
        """The same in both."""
        return self._dialect.close_code(error)


def _is_vllm(frame: Frame) -> bool:
    """Whether a message is of vLLM's shape: a model beside the type, where OpenAI has a session."""
    if isinstance(frame, bytes):
        return False
    try:
        message: dict[str, Any] = parse_object(frame)
    except InvalidJson:
        return False
    return message.get("type") == "session.update" and "session" not in message
