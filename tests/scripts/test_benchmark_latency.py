from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from bench.record import Cost, Counts, Distribution, Latencies, Level
from scripts.benchmark_latency import main, parser, report, show

SEEN = Distribution.of([0.1, 0.2, 0.3])


def _level() -> Level:
    counts = Counts(
        utterances=3, cut=0, nowhere=0, misplaced=0, stable_words=9, broken_words=0,
        reference_words=40, substituted=1, missing=1, inserted=0, doubled=0,
    )  # fmt: skip
    cost = Cost(
        audio_s=20.0, speech_s=10.0, wall_s=21.0, server_cpu_s=2.0, server_peak_mb=400.0, server_end_mb=390.0,
        client_cpu_s=0.2, other_cpu_s=0.1, send_late_p99_s=0.001, send_late_max_s=0.002,
    )  # fmt: skip
    return Level(
        streams=1,
        latencies=Latencies(first_partial=SEEN, word=SEEN, text=SEEN, commit=SEEN, gap=SEEN, lag=Distribution()),
        counts=counts,
        cost=cost,
        failures=(),
        broken_limits=(),
        timeline=None,
    )


def test_options() -> None:
    options = parser().parse_args(["--streams", "4", "--audio", "a.wav", "b.wav", "--json", "out.json"])
    assert (options.streams, options.audio, options.json) == (4, [Path("a.wav"), Path("b.wav")], Path("out.json"))


def test_figures_have_the_promised_names() -> None:
    figures = report(_level(), 0.051)
    assert figures["end_of_speech_to_final"] == {"p50": 0.2, "p90": 0.28, "p99": 0.298, "n": 3}
    assert figures["time_to_first_partial"]["p50"] == 0.2
    assert figures["partial_lag"] == {"p50": None, "p90": None, "p99": None, "n": 0}
    assert figures["real_time_factor"] == 0.051
    assert figures["cpu_seconds_per_second_of_audio"] == 0.1
    assert figures["peak_memory_mb"] == 400.0
    assert figures["word_error_rate"] == 0.05


def test_what_could_not_be_measured_is_a_dash() -> None:
    console = Console(record=True, width=120)
    level = _level()
    unseen = level.cost.model_copy(update={"server_cpu_s": None, "server_peak_mb": None})
    show(console, report(level.model_copy(update={"cost": unseen}), 0.05))
    text = console.export_text()
    assert "end of speech → final" in text
    lag = next(line for line in text.splitlines() if "partial lag" in line)
    assert [cell.strip() for cell in lag.split("│")[2:5]] == ["-", "-", "-"]
    assert any(line.startswith("server memory") and line.endswith(" -") for line in text.splitlines())


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads spin on a busy machine, and the tensors are small."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit code of the script with these arguments."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["benchmark_latency.py", *arguments])
        return main()

    return run


@pytest.mark.usefixtures("one_thread")
def test_random_weights_measure_the_machine(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "out.json"
    engine = ("--engine", "voxtral_realtime", "--weights", "random", "--size", "tiny")
    assert run(*engine, "--device", "cpu", "--dtype", "float32", "--streams", "3", "--json", str(record)) == 0
    seen = json.loads(record.read_text("utf-8"))
    assert (seen["engine"], seen["weights"], seen["size"]) == ("voxtral_realtime", "random", "tiny")
    assert (seen["torch_dtype"], seen["compiled"], seen["n_weights"]) == ("float32", "not", 499_584)
    assert seen["device"] == seen["machine"]["cpu"]
    assert [level["streams"] for level in seen["levels"]] == [1, 3]
    for level in seen["levels"]:
        assert 0 < level["step_ms"] <= level["step_p99_ms"]
        assert level["tokens_per_second"] == pytest.approx(1000 * level["streams"] / level["step_ms"], rel=0.05)
    printed = capsys.readouterr().out
    assert "499,584, float32" in printed
    assert seen["device"] in printed
    assert "tokens/s" in printed


def test_a_machine_too_small_for_the_model_is_told_how_much_it_needs(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("bench.random_weights.free_bytes", lambda _: 5 * 10**9)
    assert run("--weights", "random", "--size", "4b", "--device", "cpu") == 2
    told = capsys.readouterr().err
    assert "needs 9." in told
    assert "leave 5.0 GB" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--engine", "whisper"), "not for whisper"), (("--device", "cuda:99"), "model.device is cuda:99")],
)
def test_what_random_weights_cannot_measure_is_refused(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    pytest.importorskip("torch")
    assert run("--weights", "random", "--size", "tiny", *arguments) == 2
    assert reason in capsys.readouterr().err
