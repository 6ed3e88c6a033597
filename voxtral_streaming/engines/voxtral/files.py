"""The files of a checkpoint, in either layout: where they are and what they describe. No weight is read, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxtral_streaming.engines.voxtral.facts import ModelFacts, from_config, from_params, read_json
from voxtral_streaming.engines.voxtral.layout import Layout
from voxtral_streaming.engines.voxtral.tekken import Tekken, read_tekken
from voxtral_streaming.errors import WeightsError

HUB_CACHE_VARIABLES = (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's folder, its files found and its facts read; no weight is read yet."""

    folder: Path
    layout: Layout
    files: tuple[Path, ...]
    facts: ModelFacts
    tekken: Tekken


def locate(name: str, revision: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of a model: `name` is a folder, or a hub name whose snapshot is in the local cache.

    Nothing is downloaded. Without a `revision` the cache's `main` is taken.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    repository = _hub_cache(environ) / f"models--{name.replace('/', '--')}"
    if revision is None:
        pointer = repository / "refs" / "main"
        revision = pointer.read_text("utf-8").strip() if pointer.is_file() else "main"
    snapshot = repository / "snapshots" / revision
    if not snapshot.is_dir():
        raise WeightsError(f"{name}: no such folder, and no revision {revision} of it in {repository.parent}")
    return snapshot


def _hub_cache(environ: Mapping[str, str]) -> Path:
    for variable, below in HUB_CACHE_VARIABLES:
        if environ.get(variable):
            return Path(environ[variable]) / below
    return Path.home() / ".cache" / "huggingface" / "hub"


def open_checkpoint(folder: Path) -> Checkpoint:
    """Find the files of a model in either layout; Hugging Face's is taken where both are complete."""
    layouts: tuple[tuple[Layout, str, tuple[str, ...]], ...] = (
        ("hugging_face", "config.json", ("model.safetensors", "model-*-of-*.safetensors")),
        ("mistral", "params.json", ("consolidated.safetensors", "consolidated-*.safetensors")),
    )
    for layout, described, patterns in layouts:
        files = next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
        if files and (folder / described).is_file():
            read = from_config if layout == "hugging_face" else from_params
            facts, tekken = read(read_json(folder / described)), read_tekken(folder / "tekken.json")
            return Checkpoint(folder, layout, tuple(files), facts, tekken)
    raise WeightsError(
        f"{folder}: needs config.json with model.safetensors (or its numbered parts), "
        f"or params.json with consolidated.safetensors, and tekken.json"
    )


def is_realtime(folder: Path) -> bool:
    """Whether a folder's description is that of a Voxtral Realtime model. Raises `WeightsError` for a broken one."""
    if (folder / "config.json").is_file():
        return read_json(folder / "config.json").data.get("model_type") == "voxtral_realtime"
    if (folder / "params.json").is_file():
        return "ada_rms_norm_t_cond" in read_json(folder / "params.json").data
    return False
