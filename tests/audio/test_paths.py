from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxtral_streaming.audio.decode import open_path
from voxtral_streaming.audio.paths import open_any, open_below
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.errors import AudioError, SourceForbidden


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of files that may be read, with ways out of it, beside a secret."""
    root = tmp_path / "audio"
    for folder in (root / "sub", root / "dir.wav", tmp_path / "audio-evil"):
        folder.mkdir(parents=True)
    for place in ("ok.wav", "sub/ok.wav", ".hidden.wav"):
        (root / place).write_text("sound")
    for place in ("secret.wav", "audio-evil/a.wav"):
        (tmp_path / place).write_text("secret")
    (root / "link_out.wav").symlink_to(tmp_path / "secret.wav")
    (root / "link_in.wav").symlink_to(root / "ok.wav")
    (root / "linkdir").symlink_to(tmp_path / "audio-evil")
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize("path", ["ok.wav", "sub/ok.wav", "{root}/ok.wav", "{root}/sub/ok.wav"])
def test_files_below_an_allowed_folder_are_read(path: str, root: Path) -> None:
    with open_below([root / "none", root], path.format(root=root)) as file:
        assert file.read() == b"sound"


@pytest.mark.parametrize(
    "path",
    [
        *("../secret.wav", "sub/../../secret.wav", "sub/../ok.wav", "./ok.wav", "{root}/../secret.wav"),
        *("{root}-evil/a.wav", "/etc/hostname", "//etc/hostname", "{root}", "{root}/", "", "/", "sub", "dir.wav/"),
        *("link_out.wav", "link_in.wav", "linkdir/a.wav", "fifo", "ok.wav/", "ok.wav/x", "ok.wav\0.txt"),
        *("missing.wav", ".hidden.wav", "~/secret.wav", "..\\secret.wav", "%2e%2e/secret.wav", "a" * 5000),
        *("file:///etc/hostname", "/dev/stdin", "/proc/self/environ", "/dev/zero"),
    ],
)
def test_all_else_is_refused_in_the_same_words(path: str, root: Path) -> None:
    with pytest.raises(SourceForbidden) as caught:
        open_below([root], path.format(root=root))
    assert caught.value.message == "this file may not be read here"
    assert caught.value.param == "path"


async def test_strangers_read_no_files_unless_a_folder_is_named(root: Path, remote: SourcePolicy) -> None:
    with pytest.raises(SourceForbidden):
        async with open_path(str(root / "ok.wav"), remote):
            pass


def test_a_link_that_is_swapped_in_is_never_followed(root: Path, tmp_path: Path) -> None:
    is_over = threading.Event()

    def swap() -> None:
        real, link = root / "sub.real", root / "sub.link"
        (tmp_path / "ok.wav").write_text("secret")
        link.symlink_to(tmp_path)
        while not is_over.is_set():
            (root / "sub").rename(real)
            link.rename(root / "sub")
            (root / "sub").rename(link)
            real.rename(root / "sub")
            time.sleep(0)

    swapper = threading.Thread(target=swap)
    swapper.start()
    heard = {attempt(root) for _ in until(time.monotonic() + 0.5)}
    for _ in until(time.monotonic() + 20):  # a busy machine may take its time to show both
        if len(heard) > 1:
            break
        heard.add(attempt(root))
    is_over.set()
    swapper.join()
    assert heard | {attempt(root)} == {b"sound", b""}


def until(deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield


def attempt(root: Path) -> bytes:
    try:
        with open_below([root], "sub/ok.wav") as file:
            return file.read()
    except SourceForbidden:
        return b""


def test_a_trusted_caller_reads_what_his_account_can(root: Path) -> None:
    for path in (
        root / "ok.wav",
        str(root / "link_in.wav"),
        (root / "ok.wav").as_uri(),
        f"file://localhost{root}/ok.wav",
    ):
        with open_any(path) as file:
            assert file.read() == b"sound"


@pytest.mark.parametrize("path", ["missing.wav", "dir.wav", "fifo", "ok.wav\0.txt", "file://elsewhere/ok.wav"])
def test_what_a_trusted_caller_cannot_read_is_named(path: str, root: Path) -> None:
    with pytest.raises(AudioError):
        open_any(path if path.startswith("file:") else root / path)


def test_the_table_of_hostile_paths_is_met(hostile: Path, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "sock"))
        for row in json.loads((hostile / "cases" / "paths.json").read_text())["paths"]:
            path = row["path"].replace("{ROOT}", str(root))
            if row["expect"] == "allow":
                open_below([root], path).close()
            else:
                with pytest.raises(SourceForbidden):
                    open_below([root], path)
