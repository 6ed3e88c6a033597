"""Where transcripts go: nothing is overwritten, and players find their captions."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import BadParameter

from voxtral_streaming.cli.output import targets, write
from voxtral_streaming.cli.sources import Recording


def recordings(*names: str) -> list[Recording]:
    return [Recording(f"/recordings/{name}", PurePath(name)) for name in names]


def places(*names: str, output: str = "out", are_several: bool = True) -> list[str]:
    return [str(place) for place in targets(recordings(*names), "srt", output, are_several=are_several)]


def test_standard_output() -> None:
    assert targets(recordings("a.mp3", "b.mp3"), "text", None, are_several=True) == [None, None]
    assert targets(recordings("a.mp3"), "srt", None, are_several=False) == [None]


def test_captions_of_several_recordings_are_not_mixed() -> None:
    with pytest.raises(BadParameter, match="needs a folder"):
        targets(recordings("a.mp3", "b.mp3"), "vtt", None, are_several=True)


def test_one_recording_goes_to_the_file_that_is_named() -> None:
    assert places("a.mp3", output="captions.srt", are_several=False) == ["captions.srt"]


def test_a_folder_is_told_by_its_slash_or_by_being_one(tmp_path: Path) -> None:
    assert places("a.mp3", output="out/", are_several=False) == ["out/a.srt"]
    assert places("a.mp3", output=str(tmp_path), are_several=False) == [f"{tmp_path}/a.srt"]


def test_the_folders_of_the_recordings_are_kept() -> None:
    assert places("a.mp3", "b/a.mp3") == ["out/a.srt", "out/b/a.srt"]


def test_recordings_that_differ_in_their_suffix_keep_it() -> None:
    assert places("a.mp3", "a.wav", "b.mp3") == ["out/a.mp3.srt", "out/a.wav.srt", "out/b.srt"]


def test_only_the_suffix_of_a_recording_is_left_out() -> None:
    assert places("v1.2", "audio", "..") == ["out/v1.2.srt", "out/audio.srt", "out/...srt"]


def test_no_transcript_overwrites_another() -> None:
    with pytest.raises(BadParameter, match=r"several transcripts would be written to out/a\.mp3\.srt"):
        places("a.mp3", "a.mp3")


def test_no_transcript_overwrites_a_recording(tmp_path: Path) -> None:
    recording = Recording(str(tmp_path / "talk"), PurePath("talk"))
    with pytest.raises(BadParameter, match="is a recording"):
        targets([recording], "text", str(tmp_path / "below" / ".." / "talk"), are_several=False)


def test_several_transcripts_do_not_go_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadParameter, match="is a file"):
        places("a.mp3", "b.mp3", output=str(tmp_path / "file"))


@given(st.lists(st.from_regex(r"([ab]/)?[ab](\.mp3|\.wav|\.x)?", fullmatch=True), unique=True, max_size=6))
def test_every_recording_of_a_folder_has_a_place_of_its_own(names: list[str]) -> None:
    found = places(*names)
    assert len(set(found)) == len(names)
    assert all(place.startswith("out/") and place.endswith(".srt") for place in found)


def test_writing_ends_with_one_line_break(tmp_path: Path) -> None:
    write("là-bas\n\n", tmp_path / "new" / "talk.txt")
    assert (tmp_path / "new" / "talk.txt").read_bytes() == "là-bas\n".encode()
