"""Wyoming, the protocol of Home Assistant's voice services: the audio of one command in, its transcript out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from pydantic import Field

from voxtral_streaming.audio.pcm import MAX_CHANNELS, Encoding
from voxtral_streaming.audio.resample import MAX_RATE
from voxtral_streaming.audio.units import seconds
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.errors import ProtocolError, UnsupportedMedia, UnsupportedOption, VoxtralError
from voxtral_streaming.server.dialects.actions import (
    Action,
    Audio,
    AudioFormat,
    Close,
    Closed,
    Failed,
    Frame,
    KeepAlive,
    Notice,
    Reply,
    SessionFacts,
    Start,
    Started,
)
from voxtral_streaming.server.dialects.closing import close_code
from voxtral_streaming.server.dialects.deltas import RunningText
from voxtral_streaming.server.dialects.native import MIN_LIVE_RATE
from voxtral_streaming.server.dialects.wyoming.events import Event, EventFields, checked, read, write
from voxtral_streaming.server.errors import problem
from voxtral_streaming.server.limits import MAX_PROMPT_CHARS
from voxtral_streaming.transcript import Final, Partial, Segment, Transcript

ENCODINGS: Mapping[int, Encoding] = {2: "pcm_s16le", 4: "pcm_s32le"}  # by bytes of a sample
PROGRAM = "voxtral-streaming"


class _Layout(EventFields):
    rate: int = Field(ge=MIN_LIVE_RATE, le=MAX_RATE)
    width: int
    channels: int = Field(ge=1, le=MAX_CHANNELS)


class _Transcribe(EventFields):
    name: str | None = None
    language: str | None = None
    transcript_names: list[str] | None = None
    transcript_terms: list[str] | None = None


def answer(event: Event, can: Capabilities) -> Event | None:
    """The answer to what needs no session: `describe` and `ping`."""
    match event.type:
        case "describe":
            return Event("info", _info(can))
        case "ping":
            return Event("pong", {"text": event.data.get("text")})
    return None


def _info(can: Capabilities) -> dict[str, Any]:
    """One program with one model. The client says when the command is over."""
    artifact = {"installed": True, "version": version(PROGRAM)}
    model = {
        "name": can.model,
        "attribution": {"name": can.model, "url": ""},
        "description": f"{can.model}, run by {can.name}",
        "languages": list(can.languages),
        **artifact,
    }
    program = {
        "name": PROGRAM,
        "attribution": {"name": PROGRAM, "url": ""},
        "description": "Live speech to text on your own machine",
        "models": [model],
        "supports_transcript_streaming": True,
        "requires_external_vad": True,
        "prefers_auto_gain_enabled": False,
        "prefers_noise_reduction_enabled": False,
        **artifact,
    }
    others: dict[str, Any] = {name: [] for name in ("tts", "handle", "intent", "wake", "mic", "snd")}
    return {"asr": [program], **others}


class Wyoming:
    """One session: from `transcribe` or the first audio to the transcript."""

    subprotocols: ClassVar[tuple[str, ...]] = ()

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._asked = _Transcribe()
        self._audio: AudioFormat | None = None
        self._is_closed = False
        self._text = RunningText()
        self._segments: list[Segment] = []

    def receive(self, frame: Frame) -> Sequence[Action]:
        """What an event asks for; what is not known is ignored, as is what follows the end of the audio."""
        if self._is_closed or isinstance(frame, str):
            return ()
        event = read(frame)
        reply = answer(event, self._facts.capabilities)
        if reply is not None:
            return [Reply(write(reply))]
        match event.type:
            case "transcribe":
                return self._transcribe(event)
            case "audio-start":
                return self._layout(event)
            case "audio-chunk":
                return [*self._layout(event), Audio(event.payload)]
            case "audio-stop":
                self._is_closed = True
                return [Close()]
            case _:
                return [KeepAlive()]

    def _transcribe(self, event: Event) -> Sequence[Action]:
        if self._audio is not None:
            raise ProtocolError("transcribe: only before any audio", param="type")
        self._asked = checked(_Transcribe, event.data)
        model = self._facts.capabilities.model
        if self._asked.name not in (None, "", model):
            raise UnsupportedOption(f"name: the model here is {model}", param="name")
        return [KeepAlive()]

    def _layout(self, event: Event) -> Sequence[Action]:
        """The start, where the event is the first one that says how the audio is laid out."""
        layout = checked(_Layout, event.data)
        if layout.width not in ENCODINGS:
            raise UnsupportedMedia("width: samples have 2 or 4 bytes", param="width")
        audio = AudioFormat(ENCODINGS[layout.width], layout.rate, layout.channels)
        if self._audio is None:
            self._audio = audio
            return [Start(self._options(), audio)]
        if audio != self._audio:
            raise ProtocolError("rate, width and channels must stay what they were", param="rate")
        return []

    def _options(self) -> StreamOptions:
        can, language = self._facts.capabilities, self._asked.language or self._facts.language
        options = StreamOptions(
            language=language and language.replace("_", "-").partition("-")[0].lower(),
            prompt=self._prompt() if can.biasing else None,
            partials=can.partials,
            words=False,
        )
        check_options(options, can)
        return options

    def _prompt(self) -> str | None:
        """The names and terms that may be said, names first, as many as a prompt takes; they are no more than hints."""
        prompt = ""
        for term in (*(self._asked.transcript_names or ()), *(self._asked.transcript_terms or ())):
            longer = f"{prompt}, {term}" if prompt else term
            if len(longer) > MAX_PROMPT_CHARS:
                break
            prompt = longer
        return prompt or None

    def encode(self, notice: Notice) -> Sequence[Frame]:
        """The transcript in chunks as it grows, and then as a whole."""
        match notice:
            case Reply(frame):
                return [frame]
            case Started(start):
                language = start.options.language
                return [write(Event("transcript-start", {"language": language} if language else {}))]
            case Partial():
                return _chunk(self._text.grow(notice.stable))
            case Final():
                if notice.text:
                    self._segments.append(Segment.of(notice, len(self._segments)))
                return _chunk(self._text.settle(notice.text))
            case Closed(received=n_samples):
                return [write(event) for event in self._whole(seconds(n_samples))]
            case Failed(error):
                return [write(Event("error", {"text": problem(error)["message"], "code": error.code}))]
        return ()

    def _whole(self, duration: float) -> Sequence[Event]:
        transcript = Transcript.of(self._segments, duration)
        data = {"text": transcript.text, **({"language": transcript.language} if transcript.language else {})}
        stop = [] if self._audio is None else [Event("transcript-stop")]
        return [Event("transcript", data), *stop]

    def close_code(self, error: VoxtralError) -> int:
        """Of no meaning over TCP."""
        return close_code(error)


def _chunk(text: str) -> Sequence[Frame]:
    return [write(Event("transcript-chunk", {"text": text}))] if text else ()
