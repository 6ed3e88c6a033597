from __future__ import annotations

from io import BytesIO

import pytest

from voxtral_streaming.audio.decoder.container import sniff
from voxtral_streaming.errors import EmptyAudio, UnsupportedMedia

ID3 = b"ID3\4\0\0\0\0\1\1" + bytes(129)  # a tag of 129 bytes


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"FORM\0\0\0\0AIFFCOMM", "aiff"),
        (b"FORM\0\0\0\0AIFCFVER", "aiff"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\2", "ogg"),
        (b"\x1a\x45\xdf\xa3\x9f", "matroska"),
        (b".snd\0\0\0\x18", "au"),
        (b"\0\0\0\x20ftypM4A ", "mov"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xf9\x50\x80", "aac"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf3\x40\xc0", "mp3"),
        (ID3 + b"\xff\xfb\x90\x00", "mp3"),
        (ID3 + b"\xff\xf1\x50\x80", "aac"),
        (ID3 + ID3 + b"fLaC", "flac"),
        (ID3 * 100, "mp3"),
    ],
)
def test_a_container_is_known_by_its_first_bytes(head: bytes, demuxer: str) -> None:
    file = BytesIO(head + bytes(64))
    assert sniff(file) == demuxer
    assert file.tell() == 0


@pytest.mark.parametrize(
    "head",
    [
        *(b"\0", b"RIFF\0\0\0\0AVI LIST", b"RIFF", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"PK\3\4", b"GIF89a", b"MThd"),
        *(b"#!AMR\n", b"#EXTM3U\n", b"v=0\r\n", b"<?xml", b"<!doctype html>", b"ffconcat version 1.0", b"[playlist]"),
        *("\ufeffhello".encode("utf-16-le"), b"\xff\xff\xff\xff", b"\xff\xd8\xff\xe0JFIF", b"\xff\xe8\x90\x00"),
    ],
)
def test_anything_else_is_not_accepted(head: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(BytesIO(head))


def test_nothing_is_empty() -> None:
    with pytest.raises(EmptyAudio):
        sniff(BytesIO())
