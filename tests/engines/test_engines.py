"""Which engine is chosen, and why."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from voxtral_streaming.config import Config, load_config
from voxtral_streaming.engines import explain, open_engine
from voxtral_streaming.engines.whisper.engine import WhisperEngine
from voxtral_streaming.errors import EngineUnavailable, WeightsError

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra is not installed")


@pytest.fixture
def tiny(root: Path) -> Path:
    """The folder of a small Voxtral Realtime model."""
    return root / "tests" / "data" / "voxtral_realtime_tiny"


def configured(name: str | Path, engine: str = "auto", device: str = "cpu") -> Config:
    settings = {"NAME": str(name), "ENGINE": engine, "DEVICE": device}
    return load_config(None, {f"VOXTRAL_MODEL__{key}": value for key, value in settings.items()})


@pytest.mark.parametrize("name", ["whisper-base", "whisper-tiny.en"])
def test_what_is_built_in_is_whisper(name: str) -> None:
    config = configured(name)
    assert isinstance(open_engine(config), WhisperEngine)
    assert explain(config) == f"whisper, as the model is built in, with {name} on cpu (asked for)"


def test_a_folder_with_the_name_of_a_built_in_model_is_not_looked_at(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whisper-base").symlink_to(tiny)
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_engine(configured("whisper-base")), WhisperEngine)


@needs_torch
@pytest.mark.parametrize("engine", ["auto", "voxtral_realtime"])
def test_the_files_of_voxtral_realtime_choose_it(tiny: Path, engine: str) -> None:
    from voxtral_streaming.engines.voxtral.engine import VoxtralRealtimeEngine

    config = configured(tiny, engine)
    why = "asked for by model.engine" if engine != "auto" else "as the files of the model are Voxtral Realtime's"
    assert isinstance(open_engine(config), VoxtralRealtimeEngine)
    assert explain(config) == f"voxtral_realtime, {why}, with {tiny} on cpu (asked for)"


@needs_torch
@pytest.mark.parametrize("engine", ["auto", "voxtral"])
def test_the_files_of_voxtral_choose_it(root: Path, engine: str) -> None:
    from voxtral_streaming.engines.voxtral_offline.engine import VoxtralEngine

    folder = root / "tests" / "data" / "voxtral_tiny"
    config = configured(folder, engine)
    why = "asked for by model.engine" if engine != "auto" else "as the files of the model are those of Voxtral Mini"
    assert isinstance(open_engine(config), VoxtralEngine)
    assert explain(config).startswith(f"voxtral, {why}")


@needs_torch
def test_a_model_in_the_local_cache_is_known_by_its_files(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = tmp_path / "models--someone--realtime" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / "main").symlink_to(tiny)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert explain(configured("someone/realtime")).startswith("voxtral_realtime, as the files")


@needs_torch
def test_the_device_of_auto_is_explained(tiny: Path) -> None:
    assert explain(configured(tiny, device="auto")).partition(" on ")[2].startswith(("cpu (auto: ", "cuda (auto: "))


def test_whisper_can_be_asked_for_whatever_the_files_are(tiny: Path) -> None:
    assert isinstance(open_engine(configured(tiny, "whisper")), WhisperEngine)


def test_a_model_that_is_not_here_is_left_to_whisper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    config = configured("nobody/nothing")
    assert isinstance(open_engine(config), WhisperEngine)
    assert explain(config).startswith("whisper, as no Voxtral model has that name here, ")


def test_a_broken_description_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json"):
        open_engine(configured(tmp_path))


@pytest.mark.parametrize("engine", ["auto", "voxtral_realtime"])
def test_without_the_extra_it_is_named(tiny: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "voxtral_streaming.engines.voxtral.engine", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    config = configured(tiny, engine, device="auto")
    for call in (open_engine, explain):
        with pytest.raises(EngineUnavailable, match=r"pip install 'voxtral-streaming\[voxtral\]'"):
            call(config)
