"""What a soak comes to: the promises, whether each was kept, and the page that says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from bench.endurance.tally import Reading, Tally
from bench.machine import describe

WARM_UP = 0.2  # of the time, in which memory may still grow
MAX_GROWTH = 0.05  # of the server's memory, from the first to the last third of the rest
MAX_SLOPE_MB = 1.05  # a mebibyte for an hour of audio
MIN_HOURS = 2.0  # of audio behind the warm-up, below which a slope is noise
MIN_AVAILABILITY = 0.999
SPARE = 4  # descriptors and threads more than at the start, when all is quiet again


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that must hold."""

    name: str
    is_kept: bool | None  # None: not tried long enough to say
    detail: str


def judge(tally: Tally, readings: Sequence[Reading], start: Reading, end: Reading, n_open: int) -> list[Promise]:
    """`start` and `end`: before the first client, and once the last has gone. `n_open`: sessions open at the end."""
    return [
        Promise("no sample lost or doubled", not tally.n_lost, f"{tally.n_samples} samples, {tally.n_lost} faults"),
        Promise(
            "sessions end in order",
            tally.availability >= MIN_AVAILABILITY,
            f"{tally.availability:.3%} of {tally.sessions.total()}",
        ),
        Promise("no answer that ought not to be", not tally.surprises, f"{len(tally.surprises)}"),
        *_growth(readings),
        Promise(
            "descriptors come back",
            end.n_descriptors <= start.n_descriptors + SPARE,
            f"{start.n_descriptors} before, {end.n_descriptors} after",
        ),
        Promise("threads come back", end.n_threads <= start.n_threads + SPARE, f"{start.n_threads}, {end.n_threads}"),
        Promise("nobody is left inside", n_open == 0, f"{n_open} open sessions"),
    ]


def _growth(readings: Sequence[Reading]) -> list[Promise]:
    """Whether the server's own memory is flat once it is warm."""
    warm = readings[round(len(readings) * WARM_UP) :]
    third = max(1, len(warm) // 3)
    first, last = (median(reading.rss_mb for reading in part) for part in (warm[:third], warm[-third:]))
    growth = last / first - 1
    hours, rss = (np.array([getattr(one, name) for one in warm]) for name in ("hours", "rss_mb"))
    slope = float(np.cov(hours, rss)[0, 1] / max(np.var(hours, ddof=1), 1e-9))  # of the line of least squares
    return [
        Promise("memory does not grow", growth < MAX_GROWTH, f"{first:.0f} MB, then {last:.0f} MB ({growth:+.1%})"),
        Promise(
            "memory has no slope",
            slope <= MAX_SLOPE_MB if hours[-1] - hours[0] >= MIN_HOURS else None,
            f"{slope:+.2f} MB for an hour of audio, over {hours[-1] - hours[0]:.1f} hours",
        ),
    ]


def page(promises: Sequence[Promise], tally: Tally, minutes: float, seed: int) -> str:
    """The results for people."""
    machine = describe()
    said = {True: "yes", False: "**no**", None: "too short to say"}
    rows = [f"| {promise.name} | {said[promise.is_kept]} | {promise.detail} |" for promise in promises]
    counts = [
        f"* {minutes:.1f} minutes, seed {seed}, on {machine.cores} cores of {machine.cpu}, commit {machine.commit}",
        f"* {tally.hours:.2f} hours of audio live, {tally.n_finals} finals",
        f"* sessions: {_told(tally.sessions)}",
        f"* uploads: {_told(tally.uploads)}",
        f"* faults: {_told(tally.faults)}",
        *(f"* lost: {what}" for what in tally.lost),
        *(f"* surprise: {what}" for what in tally.surprises),
    ]
    return "\n".join(["# Soak", "", "| promise | kept | measured |", "|---|---|---|", *rows, "", *counts, ""])


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def write(folder: Path, promises: Sequence[Promise], tally: Tally, readings: Sequence[Reading], text: str) -> None:
    """`soak.md` for people, `soak.json` for programs."""
    (folder / "soak.md").write_text(text)
    whole = {
        "promises": [asdict(one) for one in promises],
        "tally": vars(tally),
        "readings": [asdict(one) for one in readings],
    }
    (folder / "soak.json").write_text(json.dumps(whole, indent=1))
