from __future__ import annotations

import hashlib
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from voxtral_streaming.config import ModelConfig
from voxtral_streaming.engines.whisper import weights
from voxtral_streaming.engines.whisper.checkpoint import Checkpoint
from voxtral_streaming.engines.whisper.decoder import Decoder
from voxtral_streaming.engines.whisper.engine import load_whisper
from voxtral_streaming.engines.whisper.rules import Rules
from voxtral_streaming.engines.whisper.weights import (
    BuiltinModel,
    PackagedFile,
    builtin_models,
    complete,
    model_folder,
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
    hashlib.sha256(b"leftright").hexdigest(),
)
MODEL = BuiltinModel("split", (SPLIT,))


def test_pieces_are_joined(package: Path, tmp_path: Path) -> None:
    MODEL.write(tmp_path)
    assert (tmp_path / "model.bin").read_bytes() == b"leftright"


def test_a_wrong_byte_is_named(package: Path) -> None:
    (package / "two").write_bytes(b"Right")
    with pytest.raises(WeightsError, match=r"split_weights/one \+ split_weights/two: sha256 is \w{64}, expected"):
        list(SPLIT.blocks())


def test_no_room_to_join_the_pieces_is_told(package: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file or directory; TMPDIR names another place"):
        MODEL.write(tmp_path / "absent")


def test_a_missing_piece_is_named(package: Path) -> None:
    (package / "two").unlink()
    with pytest.raises(WeightsError, match="No such file"):
        list(SPLIT.blocks())


def test_a_missing_package_is_named() -> None:
    absent = PackagedFile("model.bin", (("not_installed_weights", "one"),), "00")
    assert BuiltinModel("absent", (absent,)).verify() == [
        "the package not-installed-weights, which holds model.bin, is not installed"
    ]


def test_an_unknown_name_says_what_is_known() -> None:
    with (
        pytest.raises(WeightsError, match=r"neither a built-in model \(whisper-base, whisper-tiny.en\)"),
        model_folder("nobody/nothing"),
    ):
        pass


def test_a_folder_must_hold_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"no model\.bin, tokenizer\.json"):
        complete(tmp_path)


def test_a_folder_is_as_good_as_a_package(tmp_path: Path) -> None:
    with model_folder("whisper-tiny.en") as joined:
        shutil.copytree(joined, tmp_path / "mine")
    assert not joined.exists()
    with model_folder(str(tmp_path / "mine")) as folder:
        assert folder == tmp_path / "mine"
    loaded = load_whisper(ModelConfig(name=str(folder), device="cpu"))
    assert not loaded.is_multilingual


def test_altered_weights_are_never_loaded(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "one").write_bytes(b"altered")
    monkeypatch.setattr(weights, "_BUILTIN", (replace(MODEL, name="whisper-base"),))
    with pytest.raises(WeightsError, match="sha256 is"):
        load_whisper(ModelConfig(name="whisper-base", device="cpu"))


@pytest.fixture(scope="module")
def tiny() -> Iterator[Path]:
    """The folder of the least model."""
    with model_folder("whisper-tiny.en") as folder:
        yield folder


def test_no_room_for_the_embeddings_is_told_and_takes_none(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rules = Rules(end=1, silence=2, first_time=3, never=(), start=0, languages={})
    expected = rf"embeddings are written to {re.escape(str(tmp_path))}: File too large; TMPDIR names another place"
    with pytest.raises(WeightsError, match=expected), no_larger_files_than(10**7):
        Decoder(Checkpoint(tiny / "model.bin"), rules, None, is_int8=True)
    assert not list(tmp_path.iterdir())


@contextmanager
def no_larger_files_than(n_bytes: int) -> Iterator[None]:
    """As on a full disk, nothing more can be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
