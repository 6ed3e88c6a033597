"""What a file is, by its first bytes. The name that a client gives it says nothing."""

from __future__ import annotations

import io
from typing import BinaryIO

from voxtral_streaming.errors import EmptyAudio, UnsupportedMedia

MAX_ID3_TAGS = 16  # in a row; what follows them is then taken for MPEG audio
ID3_HEADER = 10  # bytes
HEAD = 16  # bytes that tell every container below from the others


def sniff(file: BinaryIO) -> str:
    """Name the libav demuxer for `file` (seekable, left at its start); the accepted ones are all here.

    Raises `EmptyAudio` for no bytes and `UnsupportedMedia` for anything else that is not listed.
    """
    head = _head_after_tags(file)
    is_empty = file.seek(0, io.SEEK_END) == 0
    file.seek(0)
    if is_empty:
        raise EmptyAudio("the audio holds no bytes")
    demuxer = _demuxer(head)
    if demuxer is None:
        raise UnsupportedMedia("not WAV, FLAC, MP3, Ogg, WebM, MP4, AAC, AIFF or AU")
    return demuxer


def _head_after_tags(file: BinaryIO) -> bytes:
    """The first bytes behind ID3v2 tags, which precede MP3 and AAC, and FLAC by mistake."""
    at = 0
    for _ in range(MAX_ID3_TAGS):
        file.seek(at)
        head = file.read(HEAD)
        if head[:3] != b"ID3" or len(head) < ID3_HEADER:
            break
        at += ID3_HEADER + _id3_size(head[6:10])
    return head


def _id3_size(four: bytes) -> int:
    """Seven bits in each of four bytes (ID3v2.4, section 6.2)."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=True))


def _demuxer(head: bytes) -> str | None:
    tag, form = head[:4], head[8:12]
    if tag in (b"RIFF", b"RF64", b"RIFX") and form == b"WAVE":
        return "wav"
    if tag == b"FORM" and form in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mov"
    fixed = {b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "matroska", b".snd": "au"}
    return fixed.get(tag) or _mpeg_demuxer(head)


def _mpeg_demuxer(head: bytes) -> str | None:
    """`mp3` or `aac`, both of which begin with a frame's sync word; nothing but tags is taken for `mp3`."""
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:  # ADTS: twelve bits of sync, layer 0
        return "aac"
    return "mp3" if _is_mpeg_audio(head) else None


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether a header of MPEG audio (ISO 11172-3, 2.4.2.3) is of layer II or III, without reserved values.

    Nobody uses layer I, and the mark at the start of UTF-16 text looks like it.
    """
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    return head[1] & 0xE0 == 0xE0 and version != 1 and layer in (1, 2) and bit_rate not in (0, 15) and rate != 3
