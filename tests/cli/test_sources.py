"""What is transcribed, and under which name."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxtral_streaming.cli.sources import Recording, is_folder, recordings_of


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_is_searched_for_recordings(tmp_path: Path) -> None:
    make(tmp_path, "b.wav", "a/talk.MP3", "a/b/c.opus", "notes.txt", "cover.jpg", "wav", ".hidden.wav", ".git/x.wav")
    found = recordings_of(str(tmp_path))
    assert [str(one.name) for one in found] == ["a/b/c.opus", "a/talk.MP3", "b.wav"]
    assert [one.source for one in found] == [str(tmp_path / one.name) for one in found]


def test_a_folder_below_a_hidden_one_is_searched_when_it_is_named(tmp_path: Path) -> None:
    make(tmp_path, ".cache/talk.wav")
    assert len(recordings_of(str(tmp_path / ".cache"))) == 1


def test_links_to_folders_do_not_make_it_endless(tmp_path: Path) -> None:
    make(tmp_path, "talk.wav")
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(recordings_of(str(tmp_path))) == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("talk.mp3", "talk.mp3"),
        ("below/there/talk.mp3", "talk.mp3"),
        ("https://example.org/a/talk.mp3?key=1/2#t=3", "talk.mp3"),
        ("https://example.org", "audio"),
        ("file:///there/talk.mp3", "talk.mp3"),
        ("data:audio/flac;base64,AA/BB", "audio"),
        ("-", "audio"),
    ],
)
def test_whatever_is_no_folder_is_one_recording(source: str, name: str) -> None:
    (recording,) = recordings_of(source)
    assert (recording.source, str(recording.name)) == (source, name)


def test_a_data_uri_is_shown_short() -> None:
    (recording,) = recordings_of("data:audio/flac;base64," + "A" * 10**6)
    assert len(str(recording)) < 60
    assert not is_folder(recording.source)


def test_any_other_source_is_shown_whole() -> None:
    name = "long" * 50 + ".mp3"
    assert str(Recording(name, Path(name))) == name
