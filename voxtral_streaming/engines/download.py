"""Fetching a model into the local hub cache: only when asked to, said in advance, resumed, and checked by its hashes.

The published repositories hold every weight twice, once for each layout; one layout is enough. What was fetched stands
in the cache as huggingface_hub itself would have put it there, so that other programs find it too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.file_download import http_get

from voxtral_streaming.engines.voxtral.files import hub_cache
from voxtral_streaming.engines.voxtral.layout import Layout
from voxtral_streaming.errors import EngineUnavailable, WeightsError

PATTERNS: dict[Layout, tuple[str, ...]] = {
    "hugging_face": ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json", "*config.json"),
    "mistral": ("consolidated.safetensors", "consolidated-*.safetensors", "params.json"),
}
ALWAYS = ("tekken.json", "README.md", "LICENSE*")
BLOCK = 2**20  # bytes that are hashed in one go
SPARE_BYTES = 2**30  # of the disk, left free
FAILURES = tuple(kind for kind in HfHubHTTPError.__bases__ if issubclass(kind, Exception))
"""Whatever the HTTP client of huggingface_hub and the disk raise: what its own error descends from."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. `sha256`: of its content; else `git_sha1`, of that behind git's header."""

    name: str
    n_bytes: int
    sha256: str | None
    git_sha1: str

    @property
    def blob(self) -> str:
        """Its name in the cache."""
        return self.sha256 or self.git_sha1


@dataclass(frozen=True, slots=True)
class Download:
    """What is to be fetched, and where it goes."""

    model: str
    revision: str  # as it was asked for
    commit: str
    files: tuple[RemoteFile, ...]
    folder: Path  # of the repository in the cache
    endpoint: str | None

    @property
    def n_bytes(self) -> int:
        """Of all files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def n_missing_bytes(self) -> int:
        """What is not here yet."""
        return self.n_bytes - sum(self._n_held(file) for file in self.files)

    @property
    def snapshot(self) -> Path:
        """The folder of the model, once it is here."""
        return self.folder / "snapshots" / self.commit

    def blob(self, file: RemoteFile) -> Path:
        """Where the content of a file goes."""
        return self.folder / "blobs" / file.blob

    def part(self, file: RemoteFile) -> Path:
        """Where it stands while it is not whole."""
        return self.folder / "blobs" / f"{file.blob}.part"

    def _n_held(self, file: RemoteFile) -> int:
        held = next((path for path in (self.blob(file), self.part(file)) if path.is_file()), None)
        return min(file.n_bytes, held.stat().st_size) if held else 0


def plan_download(
    model: str,
    revision: str | None = None,
    layout: Layout | None = None,
    *,
    endpoint: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Download:
    """Ask the hub what a model consists of. Without a layout, Hugging Face's where the model has it.

    Raises `EngineUnavailable` where the hub cannot be asked, `WeightsError` where it has no such model.
    """
    try:
        info = HfApi(endpoint=endpoint).model_info(model, revision=revision, files_metadata=True)
    except (HfHubHTTPError, HFValidationError) as error:
        raise WeightsError(f"{model}: the hub says: {_first_line(error)}") from error
    except FAILURES as error:
        raise EngineUnavailable(f"{model}: the hub cannot be reached: {_first_line(error)}") from error
    found = [
        RemoteFile(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None, one.blob_id or "")
        for one in info.siblings or ()
    ]
    files = _chosen(model, found, layout)
    folder = hub_cache(environ) / f"models--{model.replace('/', '--')}"
    return Download(model, revision or "main", info.sha or "", files, folder, endpoint)


def _chosen(model: str, found: Sequence[RemoteFile], layout: Layout | None) -> tuple[RemoteFile, ...]:
    for candidate in (layout,) if layout else PATTERNS:
        weights = [file for file in found if any(fnmatch(file.name, pattern) for pattern in PATTERNS[candidate])]
        if any(file.name.endswith(".safetensors") for file in weights):
            besides = [file for file in found if any(fnmatch(file.name, pattern) for pattern in ALWAYS)]
            return tuple(weights + besides)
    raise WeightsError(f"{model}: has no safetensors in the layout of {layout or 'Hugging Face or Mistral'}")


def fetch(download: Download, on_file: Callable[[RemoteFile], None] = lambda _: None) -> Path:
    """Fetch what is missing, going on where an earlier attempt ended; answers the folder of the model.

    `on_file` is called with each file before it is fetched. Raises `WeightsError` for a file that is not what the hub
    says of it, which is removed, and `EngineUnavailable` where the disk is too small or the connection fails.
    """
    download.snapshot.mkdir(parents=True, exist_ok=True)
    download.folder.joinpath("blobs").mkdir(exist_ok=True)
    free = shutil.disk_usage(download.folder).free
    if free < download.n_missing_bytes + SPARE_BYTES:
        needed = f"{(download.n_missing_bytes + SPARE_BYTES) / 1e9:.1f} GB"
        raise EngineUnavailable(f"{download.folder}: {free / 1e9:.1f} GB are free, {needed} are needed")
    for file in download.files:
        if not download.blob(file).is_file():
            on_file(file)
            _fetch_file(download, file)
        _link(download, file)
    pointer = download.folder / "refs" / download.revision
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(download.commit)
    return download.snapshot


def _fetch_file(download: Download, file: RemoteFile) -> None:
    part = download.part(file)
    url = hf_hub_url(download.model, file.name, revision=download.commit, endpoint=download.endpoint)
    try:
        with part.open("ab") as target:
            http_get(
                url,
                target,
                resume_size=target.tell(),
                headers=_headers(),
                expected_size=file.n_bytes,
                displayed_filename=file.name,
            )
    except FAILURES as error:
        raise EngineUnavailable(
            f"{file.name}: {_first_line(error)}; asked again, the download goes on where it ended"
        ) from error
    if _hash(part, file) != file.blob:
        part.unlink()
        raise WeightsError(f"{file.name}: what came is not what the hub says of it; it was removed")
    part.rename(download.blob(file))


def _headers() -> dict[str, str]:
    """Of somebody who is logged in at the hub; some models are given to those only."""
    token = get_token()
    return {"authorization": f"Bearer {token}"} if token else {}


def _hash(path: Path, file: RemoteFile) -> str:
    """SHA-256 of large files; of small ones SHA-1 behind a header, as git names them."""
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.n_bytes}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _link(download: Download, file: RemoteFile) -> None:
    """Let the snapshot show the file."""
    name = download.snapshot / file.name
    name.parent.mkdir(parents=True, exist_ok=True)
    if not name.is_symlink():
        name.symlink_to(os.path.relpath(download.blob(file), name.parent))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
