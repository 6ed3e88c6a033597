from __future__ import annotations

from pathlib import Path

import pytest

from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper import weights
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.weights import (
    BuiltinModel,
    PackagedFile,
    builtin_models,
    find_folder,
    read_model,
)
from voxtral_streaming.errors import WeightsError


@pytest.mark.parametrize("name", builtin_models())
def test_the_installed_weights_are_what_they_should_be(name: str) -> None:
    assert builtin_models()[name].verify() == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package that holds a file in two pieces."""
    folder = tmp_path / "split_weights"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "one").write_bytes(b"left")
    (folder / "two").write_bytes(b"right")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


SPLIT = PackagedFile(
    "model.bin",
    (("split_weights", "one"), ("split_weights", "two")),
    "8a91f05a9e2b8e9ddf7ed3e4c7ee6b2f58a6a0e8e6a8ed9b4f0fcd6f43f7d4c1",
)


def test_pieces_are_joined_and_a_wrong_byte_is_named(package: Path) -> None:
    with pytest.raises(WeightsError, match=r"split_weights/one \+ split_weights/two: sha256 is \w{64}, expected 8a91"):
        SPLIT.read()


def test_a_missing_piece_is_named(package: Path) -> None:
    (package / "two").unlink()
    with pytest.raises(WeightsError, match="No such file"):
        SPLIT.read()


def test_a_missing_package_is_named() -> None:
    absent = PackagedFile("model.bin", (("not_installed_weights", "one"),), "00")
    assert BuiltinModel("absent", (absent,)).verify() == [
        "the package not-installed-weights, which holds model.bin, is not installed"
    ]


def test_an_unknown_name_says_what_is_known() -> None:
    with pytest.raises(WeightsError, match=r"neither a built-in model \(whisper-base, whisper-tiny.en\)"):
        read_model("nobody/nothing")


def test_a_folder_must_hold_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"no model\.bin, tokenizer\.json"):
        weights.read_folder(find_folder(str(tmp_path)))


def test_a_folder_gives_the_same_files_as_the_packages(tmp_path: Path) -> None:
    files = read_model("whisper-tiny.en")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.read())
    folder = read_model(str(tmp_path))
    assert folder.keys() == files.keys()
    assert folder["tokenizer.json"] == files["tokenizer.json"]


def test_altered_weights_are_never_loaded(package: Path) -> None:
    files = read_model("whisper-tiny.en")
    files["model.bin"] = SPLIT
    with pytest.raises(WeightsError, match="sha256 is"):
        Whisper(files, ModelConfig(name="whisper-tiny.en", device="cpu"))
