from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.record import Cost, Counts, Distribution, Latencies, Level
from scripts.benchmark_latency import parser, report, show

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
