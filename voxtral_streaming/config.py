"""The configuration: what may be set, checked once at the edge.

A section is frozen and knows nothing of the others; a part of the package takes its own section.
What a model fixes is a fact and stands with the model, not here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class Section(BaseModel):
    """A section of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ServerConfig(Section):
    """Where the server listens and what it takes from clients."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but a loopback address needs `api_keys` or `insecure`."""
    port: int = Field(default=8000, ge=1, le=65535)
    """TCP port."""
    max_sessions: int = Field(default=16, ge=1, le=10_000)
    """Live sessions at once; one more is refused with a reason."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages, besides the server's own, that may open a WebSocket: `https://example.org`."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys that clients must present as a bearer token; none: no key is asked for."""
    insecure: bool = False
    """Listen beyond loopback without keys."""
    idle_timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    """A live session that sends nothing for so long is closed."""
    drain_s: float = Field(default=30.0, gt=0, le=3600)
    """How long open sessions may take to finish when the server is told to stop."""


class ModelConfig(Section):
    """Which model runs, and how."""

    name: str = Field(min_length=1)
    """`whisper-base` and `whisper-tiny.en` are built in; else a directory or a hub name."""
    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    engine: Literal["auto", "whisper"] = "auto"
    """`auto` chooses by the model's files."""
    compute_type: Literal["int8", "float32"] = "int8"
    """Arithmetic of the built-in engine."""
    workers: int = Field(default=2, ge=1, le=64)
    """Decoding threads of the built-in engine, one core each."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639 code of the language to expect where a client names none; unset: detect it."""
    torch_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Arithmetic of the Voxtral engines."""
    max_memory_per_gpu: str = Field(default="16GB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$")
    """What the Voxtral engines may take of a GPU; decides how many streams are admitted."""
    use_cache: bool = True
    """Keep keys and values between decoding steps (Voxtral engines)."""
    use_torch_compile: bool = True
    """Compile the decoding step (Voxtral engines)."""
    attention: Literal["auto", "flash", "cudnn", "efficient", "math"] = "auto"
    """Attention kernel to prefer (Voxtral engines)."""
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """Commit of the model repository, 40 hexadecimal digits."""


class AudioConfig(Section):
    """What audio is taken in, and how much of it."""

    sample_rate: Literal[16000]
    """Rate inside the package, in hertz: every model of this package takes 16000."""
    max_seconds: float = Field(default=14_400.0, gt=0, le=86_400)
    """Longest recording that is transcribed."""
    max_bytes: int = Field(default=25 * 2**20, ge=1024, le=2**32)
    """Largest upload, body or base64 text, decoded, from a client of the server."""
    allow_urls: bool = False
    """Whether clients of the server may name URLs to fetch (the command line and the library always may)."""
    allowed_hosts: tuple[str, ...] = ()
    """If not empty, the only hosts that may be fetched: `cdn.example.org`, `*.example.org`."""
    allowed_dirs: tuple[Path, ...] = ()
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
    """RMS level of speech for the `energy` detector; 0.01 is -40 dBFS. The neural detector ignores it."""
    detector: Literal["silero", "energy"] = "silero"
    """`silero` (neural, right in noise) or `energy` (a level, for tiny machines in quiet rooms)."""
    speech_probability: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Probability at and above which `silero` calls a frame speech; silence begins 0.15 below it."""
    silence_floor: float = Field(default=0.0005, ge=0.0, le=0.01)
    """RMS level under which a frame is silence without asking the neural detector."""
    min_voice_duration_ms: Milliseconds = 100
    """Speech must last so long to start an utterance."""
    min_silence_duration_ms: Milliseconds = 200
    """Silence must last so long for speech to have stopped."""
    pre_roll_ms: Milliseconds = 300
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


class StreamingConfig(Section):
    """How a live stream becomes utterances and partials."""

    endpoint_silence_ms: Milliseconds = 500
    """Silence after which an utterance is committed; at least `vad.min_silence_duration_ms`."""
    pause_ms: Milliseconds = 96
    """Silence after which the whole utterance is recognised at once, in case it is over."""
    max_utterance_s: float = Field(default=14.0, ge=2.0, le=28.0)
    """A longer utterance is cut at its quietest place."""
    partial_interval_ms: Milliseconds = 300
    """New audio between two partials, at least; under load they become rarer."""
    max_backlog_s: float = Field(default=10.0, gt=0, le=600)
    """Audio that may wait for recognition before no more is read from the client."""


class LoggingConfig(Section):
    """The log file. No transcript, key or URL query is ever written to it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    file: Path | None = Path("logs/voxtral_streaming.log")
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
