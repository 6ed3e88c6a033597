"""The files of a checkpoint, in either layout: where they are and what they describe. No weight is read, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from voxtral_streaming.engines.voxtral.facts import ModelFacts, Section, from_config, from_params, read_json
from voxtral_streaming.engines.voxtral.layout import Layout
from voxtral_streaming.engines.voxtral.tekken import Tekken, read_tekken
from voxtral_streaming.errors import WeightsError

HUB_CACHE_VARIABLES = (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"))


Family: TypeAlias = Literal["voxtral", "voxtral_realtime"]

FAMILIES: tuple[Family, ...] = ("voxtral", "voxtral_realtime")
DESCRIPTIONS: dict[Layout, str] = {"hugging_face": "config.json", "mistral": "params.json"}
WEIGHTS: dict[Layout, tuple[str, ...]] = {
    "hugging_face": ("model.safetensors", "model-*-of-*.safetensors"),
    "mistral": ("consolidated.safetensors", "consolidated-*.safetensors"),
}


@dataclass(frozen=True, slots=True)
class Files:
    """A model's folder and the files of its weights."""

    folder: Path
    layout: Layout
    files: tuple[Path, ...]

    def description(self) -> Section:
        """What the model's shapes are read from."""
        return read_json(self.folder / DESCRIPTIONS[self.layout])


@dataclass(frozen=True, slots=True)
class Checkpoint(Files):
    """A Voxtral Realtime model, its files found and its facts read; no weight is read yet."""

    facts: ModelFacts
    tekken: Tekken


def locate(name: str, revision: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of a model: `name` is a folder, or a hub name whose snapshot is in the local cache.

    Nothing is downloaded. Without a `revision` the cache's `main` is taken.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    repository = hub_cache(environ) / f"models--{name.replace('/', '--')}"
    if revision is None:
        pointer = repository / "refs" / "main"
        revision = pointer.read_text("utf-8").strip() if pointer.is_file() else "main"
    snapshot = repository / "snapshots" / revision
    if not snapshot.is_dir():
        raise WeightsError(f"{name}: no such folder, and no revision {revision} of it in {repository.parent}")
    return snapshot


def hub_cache(environ: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it fetched."""
    for variable, below in HUB_CACHE_VARIABLES:
        if environ.get(variable):
            return Path(environ[variable]) / below
    return Path.home() / ".cache" / "huggingface" / "hub"


def find_files(folder: Path) -> Files:
    """Find the files of a model in either layout; Hugging Face's is taken where both are complete."""
    for layout, patterns in WEIGHTS.items():
        files = next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
        if files and (folder / DESCRIPTIONS[layout]).is_file():
            return Files(folder, layout, tuple(files))
    raise WeightsError(
        f"{folder}: needs config.json with model.safetensors (or its numbered parts), "
        f"or params.json with consolidated.safetensors, and tekken.json"
    )


def open_checkpoint(folder: Path) -> Checkpoint:
    """Find and describe a Voxtral Realtime model. Raises `WeightsError`."""
    found = find_files(folder)
    read = from_config if found.layout == "hugging_face" else from_params
    facts, tekken = read(found.description()), read_tekken(folder / "tekken.json")
    return Checkpoint(found.folder, found.layout, found.files, facts, tekken)


def family(folder: Path) -> Family | None:
    """Which of these models a folder describes; None: neither. Raises `WeightsError` for a broken description."""
    if (folder / "config.json").is_file():
        model_type = read_json(folder / "config.json").data.get("model_type")
        return next((known for known in FAMILIES if known == model_type), None)
    if (folder / "params.json").is_file():
        params = read_json(folder / "params.json").data
        if "ada_rms_norm_t_cond" in params:
            return "voxtral_realtime"
        return "voxtral" if "whisper_model_args" in (params.get("multimodal") or {}) else None
    return None
