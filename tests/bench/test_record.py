from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.load import parser
from bench.record import Distribution, Record


def test_what_is_written_is_read_again(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    record.write(path)
    assert Record.read(path) == record


def test_a_folder_is_refused_before_anything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--output", str(tmp_path)])
    assert f"name a file in it, such as {tmp_path / 'load.json'}" in capsys.readouterr().err


def test_another_file_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"started": "now"}', encoding="utf-8")
    with pytest.raises(ValidationError):
        Record.read(path)


@given(st.lists(st.floats(-1, 100), min_size=1), st.floats(0, 100))
def test_percentiles_are_those_of_numpy(values: list[float], percent: float) -> None:
    found = Distribution.of(values)
    assert found.percentile(percent) == pytest.approx(np.percentile(values, percent), abs=0.001)
    assert found.largest == pytest.approx(max(values), abs=0.001)


def test_of_nothing_there_are_no_percentiles() -> None:
    assert Distribution().percentile(50) is None
    assert Distribution().largest is None


def test_rates(record: Record) -> None:
    level = record.levels[1]
    assert level.counts.word_error_rate == pytest.approx(0.05)
    assert level.cost.cpu_per_speech_second == pytest.approx(2 / 16)
    assert level.cost.cpu_per_audio_second == pytest.approx(2 / 20)
    unseen = level.cost.model_copy(update={"server_cpu_s": None})
    assert (unseen.cpu_per_speech_second, unseen.cpu_per_audio_second) == (None, None)
