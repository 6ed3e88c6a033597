"""The error tree.

    VoxtralError
    ├── ConfigError              the configuration is wrong; carries every problem (exit code 2)
    ├── AudioError               what came in cannot be used
    │   ├── SourceForbidden      this caller may not read that URL or path
    │   ├── FetchError           the URL could not be fetched
    │   │   └── FetchTimeout     … within its deadline
    │   ├── InvalidBase64        not base64
    │   ├── UnsupportedMedia     not audio, or a container or codec that is not accepted
    │   ├── CorruptAudio         audio that does not decode
    │   ├── EmptyAudio           decodes to no samples
    │   ├── AudioTooLarge        more bytes than allowed
    │   └── AudioTooLong         more seconds than allowed
    ├── EngineError
    │   ├── WeightsError         weights are missing, truncated or altered (exit code 3)
    │   ├── EngineUnavailable    this engine cannot run here; says what is missing
    │   └── EngineFailed         recognition itself failed
    │       ├── EngineLost       the engine ended, and with it what it had heard
    │       └── PoisonAudio      an utterance that ends the engine again and again; it was given up
    ├── UnsupportedOption        the engine cannot honour an option that was asked for
    └── ProtocolError            a client's message is malformed or out of order

Every error has a `code` for programs, a message for people, and `param`, the name of the
field that is to blame, where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class VoxtralError(Exception):
    """Base of all errors that this package raises on purpose."""

    code: str = "internal"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with the configuration."""

    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value}: {self.expected}"


class ConfigError(VoxtralError):
    """The configuration is wrong; `problems` lists everything that is, not only the first."""

    code = "invalid_config"

    def __init__(self, source: str, problems: Sequence[ConfigProblem]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source}: the configuration is not valid\n{lines}")
        self.source = source
        self.problems = tuple(problems)


class AudioError(VoxtralError):
    """What came in cannot be used as audio."""

    code = "invalid_audio"


class SourceForbidden(AudioError):
    """The caller may not read that URL or path."""

    code = "source_forbidden"


class FetchError(AudioError):
    """The URL could not be fetched."""

    code = "fetch_failed"


class FetchTimeout(FetchError):
    """The URL could not be fetched within its deadline."""

    code = "fetch_timeout"


class InvalidBase64(AudioError):
    """The text is not base64."""

    code = "invalid_base64"


class UnsupportedMedia(AudioError):
    """Not audio, or a container or codec that is not accepted."""

    code = "unsupported_media"


class CorruptAudio(AudioError):
    """Audio that does not decode."""

    code = "corrupt_audio"


class EmptyAudio(AudioError):
    """Audio that decodes to no samples."""

    code = "empty_audio"


class AudioTooLarge(AudioError):
    """More bytes than allowed."""

    code = "audio_too_large"


class AudioTooLong(AudioError):
    """More seconds than allowed."""

    code = "audio_too_long"


class EngineError(VoxtralError):
    """The engine cannot do its work."""

    code = "engine_error"


class WeightsError(EngineError):
    """Weights are missing, truncated or altered; the message names the file and the remedy."""

    code = "weights_invalid"


class EngineUnavailable(EngineError):
    """The engine cannot run here; the message says what is missing."""

    code = "engine_unavailable"


class EngineFailed(EngineError):
    """Recognition itself failed."""

    code = "engine_failed"


class EngineLost(EngineFailed):
    """The engine ended, and with it what it had heard; whoever kept the samples may feed them to the next one."""

    code = "engine_lost"


class PoisonAudio(EngineFailed):
    """An utterance that ends the engine again and again; it was given up."""

    code = "poison_audio"


class UnsupportedOption(VoxtralError):
    """The engine cannot honour an option that was asked for."""

    code = "unsupported_option"


class ProtocolError(VoxtralError):
    """A client's message is malformed or out of order."""

    code = "protocol_error"
