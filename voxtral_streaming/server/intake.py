"""A client's bytes of live audio to samples; files are refused."""

from __future__ import annotations

from voxtral_streaming.audio.pcm import PcmDecoder
from voxtral_streaming.audio.units import Samples
from voxtral_streaming.errors import UnsupportedMedia
from voxtral_streaming.server.dialects.actions import AudioFormat

HEAD_BYTES = 8  # enough to tell a file from raw PCM
BEGINNINGS = {
    "WAV": b"RIFF",
    "Ogg": b"OggS",
    "FLAC": b"fLaC",
    "Matroska or WebM": b"\x1a\x45\xdf\xa3",
    "MP3": b"ID3",
}


class Intake:
    """Opened, fed, finished; gives `Samples` at 16 kHz, whatever the client's format."""

    def __init__(self, audio: AudioFormat) -> None:
        self._decoder = PcmDecoder(audio.encoding, audio.sample_rate, audio.channels)
        self._head = b""

    @property
    def sanitized(self) -> int:
        """Values that were no number in [-1, 1] and were replaced."""
        return self._decoder.sanitized

    def feed(self, data: bytes) -> Samples:
        """Take the next bytes; raises `UnsupportedMedia` where they are a file and not raw PCM."""
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
            _refuse_file(self._head)
        return self._decoder.feed(data)

    def finish(self) -> Samples:
        """The last samples."""
        return self._decoder.finish()


def _refuse_file(head: bytes) -> None:
    name = next((name for name, beginning in BEGINNINGS.items() if head.startswith(beginning)), None)
    if head[4:8] == b"ftyp":
        name = "MP4"
    if name is not None:
        raise UnsupportedMedia(f"this is a {name} file; a live session takes raw PCM", param="audio")
