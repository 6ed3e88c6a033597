"""What may be set: one frozen model per section, with its bounds and its defaults.

A section knows nothing of the others; a part of the package takes its own section. What a model
fixes is a fact and stands with the model, not here. The docstring under a setting is its
documentation: `docs/configuration.md` is made from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer, model_validator
from pydantic_core import PydanticCustomError

from voxtral_streaming.config.values import (
    MASK,
    ApiKey,
    Device,
    Directory,
    ExistingFile,
    Host,
    HostPattern,
    Language,
    Limit,
    LogFile,
    MemorySize,
    Milliseconds,
    ModelName,
    Network,
    Origin,
    Revision,
    Threads,
    is_loopback,
)


def conflict(key: str, value: object, expected: str) -> PydanticCustomError:
    """The error for a value that is right alone and wrong beside another."""
    return PydanticCustomError(
        "conflict", "{key}: {value}: {expected}", {"key": key, "value": value, "expected": expected}
    )


class Section(BaseModel):
    """A section of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ServerConfig(Section):
    """Where the server listens and what it takes from clients."""

    host: Host = "127.0.0.1"
    """Address to listen on; anything but a loopback address needs `api_keys` or `insecure`."""
    port: int = Field(default=8000, ge=1, le=65535)
    """TCP port."""
    max_sessions: Limit = "auto"
    """Live sessions at once; one more is refused with a reason. `auto`: as many as the loaded engine carries, which is
    measured when the server starts."""
    allowed_origins: tuple[Origin, ...] = ()
    """Origins of web pages, besides the server's own, that may open a WebSocket."""
    api_keys: tuple[ApiKey, ...] = ()
    """Keys that clients must present as a bearer token; none: no key is asked for."""
    insecure: bool = False
    """Listen beyond loopback without keys."""
    tls_cert: ExistingFile | None = None
    """Certificate chain in PEM, for `https` and `wss`; read again at SIGHUP, together with `tls_key`."""
    tls_key: ExistingFile | None = None
    """Private key of `tls_cert` in PEM, without a password."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses of proxies whose `X-Forwarded-For` is believed; it decides nothing but whom the next two count."""
    max_wrong_keys_per_minute: int = Field(default=20, ge=1, le=10_000)
    """Wrong keys from one address in a minute; after that it hears 429 for the rest of the minute, whatever its key."""
    max_starts_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """WebSockets that one address may begin in a minute; one more hears 429."""
    idle_timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    """A live session that sends nothing for so long is closed."""
    resume_s: float = Field(default=30.0, ge=0, le=600)
    """How long a live session waits for a client that asked for it and lost its connection; 0: not at all."""
    max_lag_s: float = Field(default=10.0, gt=0, le=600)
    """A live session whose finals come later than this after their audio is warned; after 5 s more a client that can
    come back is sent away for a while."""
    drain_s: float = Field(default=30.0, gt=0, le=3600)
    """How long open sessions may take to finish when the server is told to stop."""
    wyoming_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """TCP port for Wyoming, the protocol of Home Assistant; unset: not served."""
    wyoming_host: Host = "127.0.0.1"
    """Address to listen on for Wyoming, which knows neither keys nor TLS: anything but a loopback address needs
    `insecure`, and is open to whoever reaches it."""

    @field_serializer("api_keys")
    def _mask(self, keys: tuple[SecretStr, ...]) -> list[str]:
        return [MASK] * len(keys)

    @model_validator(mode="after")
    def _closed_unless_told(self) -> ServerConfig:
        if not (is_loopback(self.host) or self.api_keys or self.insecure):
            raise conflict("host", self.host, "beyond this machine needs `server.api_keys`, or `server.insecure: true`")
        return self

    @model_validator(mode="after")
    def _wyoming_closed_unless_told(self) -> ServerConfig:
        if self.wyoming_port is not None and not (is_loopback(self.wyoming_host) or self.insecure):
            raise conflict("wyoming_host", self.wyoming_host, "beyond this machine needs `server.insecure: true`")
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> ServerConfig:
        for name, value, other in (("tls_cert", self.tls_cert, self.tls_key), ("tls_key", self.tls_key, self.tls_cert)):
            if value is None and other is not None:
                raise conflict(name, None, "a certificate and its key are needed together")
        return self


class ModelConfig(Section):
    """Which model runs, and how."""

    name: ModelName
    """`whisper-base` and `whisper-tiny.en` are built in; else a folder or a hub name."""
    device: Device
    """`auto` takes a GPU where there is one that the engine can use."""
    engine: Literal["auto", "whisper", "voxtral", "voxtral_realtime"] = "auto"
    """`auto` chooses by the model's files; `voxtral` is for Mini 3B and Small 24B."""
    compute_type: Literal["int8", "float32"] = "int8"
    """Arithmetic of the built-in engine."""
    workers: int = Field(default=2, ge=1, le=64)
    """Decoding threads of the built-in engine, one core each."""
    encoder_threads: Threads = "auto"
    """Threads that encode a window of audio for one of them, on the CPU; `auto`: as many as there are cores for each of
    them, at most 4."""
    language: Language | None = None
    """Language to expect where a client names none; unset: detect it."""
    torch_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Arithmetic of the Voxtral engines."""
    voxtral_int8: bool = False
    """Keep the weights of the layers in 8 bits, a scale per output, for small cards (Voxtral engines)."""
    max_memory_per_gpu: MemorySize = "16GB"
    """What the Voxtral engines may take of a GPU; decides how many streams are admitted."""
    use_cache: bool = True
    """Keep keys and values between decoding steps (Voxtral engines)."""
    use_torch_compile: bool = True
    """Compile the decoding step (Voxtral engines)."""
    attention: Literal["auto", "flash", "cudnn", "efficient", "math"] = "auto"
    """Attention kernel to prefer (Voxtral engines)."""
    revision: Revision | None = None
    """Commit of the model's repository."""
    isolation: Literal["process", "none"] = "process"
    """Where `voxtral serve` runs the engine: in a process of its own, which is started again when it fails while the
    sessions go on, or in that of the server. The library and the other commands use their own process."""
    max_process_memory: MemorySize | None = None
    """Resident memory at which the process of the engine is started again; unset: no limit."""
    start_timeout_s: float = Field(default=600.0, gt=0, le=86_400)
    """How long the process of the engine may take to load the model."""
    stall_timeout_s: float = Field(default=30.0, ge=1, le=3600)
    """An engine that is asked for finals, answers nobody and does nothing for so long hangs, and its process is started
    again; ten times as long, while it computes."""


class AudioConfig(Section):
    """What audio is taken in, and how much of it."""

    sample_rate: Literal[16000]
    """Rate inside the package, in hertz: every model of this package takes 16000. Clients may send any rate."""
    max_seconds: float = Field(default=14_400.0, gt=0, le=86_400)
    """Longest recording that is transcribed."""
    max_bytes: int = Field(default=25 * 2**20, ge=1024, le=2**32)
    """Largest upload, body or base64 text, decoded, from a client of the server."""
    allow_urls: bool = False
    """Whether clients of the server may name URLs to fetch (the command line and the library always may)."""
    allowed_hosts: tuple[HostPattern, ...] = ()
    """If not empty, the only hosts that may be fetched."""
    allowed_dirs: tuple[Directory, ...] = ()
    """Folders below which clients of the server may name files; none: no files."""
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Deadline for connecting to a URL's host."""
    fetch_timeout_s: float = Field(default=30.0, gt=0, le=3600)
    """Deadline for a whole fetch, redirects included."""
    max_redirects: int = Field(default=3, ge=0, le=10)
    """Redirects that are followed, each checked like the first address."""
    decode_timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Deadline for decoding one recording, time spent waiting for recognition excluded."""


class VadConfig(Section):
    """When speech starts and stops."""

    threshold: float = Field(ge=0.0, le=1.0)
    """RMS level of speech for the `energy` detector; 0.01 is -40 dBFS. The neural detector does not use it: a level
    alone calls every frame speech in noise and misses quiet speech."""
    detector: Literal["silero", "energy"] = "silero"
    """`silero` (neural, right in noise) or `energy` (a level, for tiny machines in quiet rooms)."""
    speech_probability: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Probability at and above which `silero` calls a frame speech; silence begins 0.15 below it."""
    silence_floor: float = Field(default=0.0001, ge=0.0, le=0.01)
    """RMS level below which, after a second, frames are silence without asking the neural detector."""
    min_voice_duration_ms: Milliseconds = 100
    """Speech must last so long to start an utterance."""
    min_silence_duration_ms: Milliseconds = 200
    """Silence must last so long for speech to have stopped."""
    pre_roll_ms: Annotated[int, Field(ge=0, le=1000)] = 300
    """Audio before the detected start that belongs to the utterance."""


class SpectrogramConfig(Section):
    """The picture for people. It never feeds a model: models have their own, fixed front end."""

    n_mels: int = Field(default=32, ge=1, le=128)
    """Mel bands."""
    hop_length: int = Field(default=80, ge=16, le=4096)
    """Samples from one column to the next."""
    win_length: int = Field(default=256, ge=32, le=8192)
    """Samples in a column's window; at most `n_fft`."""
    n_fft: int = Field(default=256, ge=32, le=8192)
    """Points of the Fourier transform."""

    @model_validator(mode="after")
    def _window_fits(self) -> SpectrogramConfig:
        if self.win_length > self.n_fft:
            raise conflict("win_length", self.win_length, f"at most `n_fft`, which is {self.n_fft}")
        return self


class StreamingConfig(Section):
    """How a live stream becomes utterances and partials."""

    endpoint_silence_ms: Milliseconds = 500
    """Silence after which an utterance is committed; at least `vad.min_silence_duration_ms`."""
    recording_silence_ms: Milliseconds = 2000
    """The same for a recording, if more, until its utterance is half as long as it may be; the built-in engine only."""
    pause_ms: Milliseconds = 96
    """Silence after which the whole utterance is recognised at once, in case it is over."""
    max_utterance_s: float = Field(default=28.0, ge=2.0, le=28.0)
    """A longer utterance is cut at the clearest gap between words."""
    partial_interval_ms: Milliseconds = 300
    """New audio between two partials, at least; under load they become rarer."""
    max_backlog_s: float = Field(default=10.0, gt=0, le=600)
    """Audio that may wait for recognition before no more is read from the client."""


class LoggingConfig(Section):
    """The log. No transcript, key or URL query is ever written to it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    file: LogFile | None = Path("logs/voxtral_streaming.log")
    """The log file, relative to the working directory; unset: standard error only."""
    max_bytes: int = Field(default=10 * 2**20, ge=65_536, le=2**31)
    """Size at which the file is rotated."""
    backups: int = Field(default=5, ge=0, le=100)
    """Rotated files that are kept."""


class Config(Section):
    """Everything that may be set. `model`, `audio` and `vad` have required keys."""

    server: ServerConfig = ServerConfig()
    model: ModelConfig
    audio: AudioConfig
    vad: VadConfig
    spectrogram: SpectrogramConfig = SpectrogramConfig()
    streaming: StreamingConfig = StreamingConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="after")
    def _endpoint_after_stop(self) -> Config:
        check_silences(self.vad, self.streaming)
        return self


def check_silences(vad: VadConfig, streaming: StreamingConfig) -> None:
    """Raise a conflict unless an utterance ends no sooner than its speech stops."""
    if streaming.endpoint_silence_ms < vad.min_silence_duration_ms:
        raise conflict(
            "streaming.endpoint_silence_ms",
            streaming.endpoint_silence_ms,
            f"at least `vad.min_silence_duration_ms`, which is {vad.min_silence_duration_ms}",
        )
