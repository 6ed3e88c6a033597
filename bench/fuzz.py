"""Recordings with bytes changed at random, through the door for strangers: whether a decoder can be made to fall.

    python -m bench.fuzz [--minutes 60] [--seed 1]

Every mutant ends as a recording or as one of the errors that are meant for it; a crash, a deadline that passed and
anything else is a finding, and its bytes are written to the current folder.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from voxtral_streaming.audio.decode import open_bytes
from voxtral_streaming.audio.source import SourcePolicy
from voxtral_streaming.audio.units import SAMPLE_RATE
from voxtral_streaming.config import AudioConfig
from voxtral_streaming.errors import AudioError

DEADLINE_S = 5.0  # of one mutant
AT_ONCE = 2
MEANT = frozenset({"corrupt_audio", "unsupported_media", "empty_audio", "audio_too_long"})
FALLEN = ("the decoder failed", "did not decode within", "the decoder began", "the decoder answered")
RECIPES = (  # container, codec, rate
    ("wav", "pcm_s16le", 16_000),
    ("wav", "pcm_f32le", 44_100),
    ("wav", "adpcm_ms", 16_000),
    ("aiff", "pcm_s16be", 22_050),
    ("au", "pcm_s16be", 8_000),
    ("flac", "flac", 44_100),
    ("mp3", "mp3", 44_100),
    ("ogg", "libopus", 48_000),
    ("ogg", "vorbis", 44_100),
    ("webm", "libopus", 48_000),
    ("ipod", "aac", 44_100),
    ("ipod", "alac", 44_100),
    ("adts", "aac", 24_000),
)
REACHES = (64, 512, 2**20)  # bytes from the start in which changes are made: headers first


@dataclass
class Findings:
    """What became of the mutants. `fallen`: what was found, with the bytes that did it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    fallen: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def n_mutants(self) -> int:
        """How many there were."""
        return self.outcomes.total()


def seeds() -> list[bytes]:
    """A quarter of a second in every container and codec, two channels where they may be."""
    return [_recorded(*recipe) for recipe in RECIPES]


def _recorded(container: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, SAMPLE_RATE // 4)).astype(np.float32)
    with av.open(file, "w", format=container) as output:
        options = {"strict": "-2"}  # the encoder of Vorbis calls itself experimental
        layout = "stereo" if codec == "vorbis" else "mono"
        stream = output.add_stream(codec, rate=rate, layout=layout, options=options)
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(noise, format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                output.mux(packet)
    return file.getvalue()


def mutant(seeds: list[bytes], chance: random.Random) -> bytes:
    """One of the seeds with some bytes replaced, removed, doubled, or taken from another one."""
    changed = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        if not changed:
            break
        at = chance.randrange(min(len(changed), chance.choice(REACHES)))
        match chance.randrange(5):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at] = chance.choice((0, 1, 127, 128, 255))
            case 2:
                del changed[at : at + chance.randrange(1, 64)]
            case 3:
                changed[at:at] = changed[max(0, at - 32) : at] * chance.randrange(1, 4)
            case 4:
                other = chance.choice(seeds)
                start = chance.randrange(len(other))
                changed[at : at + 64] = other[start : start + 64]
    return bytes(changed)


async def attack(seed: int, *, n_mutants: int | None = None, minutes: float | None = None) -> Findings:
    """Try so many mutants, or for so long."""
    findings, chance, ends = Findings(), random.Random(seed), time.monotonic() + 60 * (minutes or 1e9)
    originals = seeds()
    policy = SourcePolicy.remote(AudioConfig(sample_rate=16000, max_seconds=60.0, decode_timeout_s=DEADLINE_S))

    async def one_after_another() -> None:
        while time.monotonic() < ends and (n_mutants is None or findings.n_mutants < n_mutants):
            await _try(mutant(originals, chance), policy, findings)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return findings


async def _try(data: bytes, policy: SourcePolicy, findings: Findings) -> None:
    began = time.monotonic()
    outcome = await _outcome(data, policy)
    findings.slowest_s = max(findings.slowest_s, time.monotonic() - began)
    findings.outcomes[outcome] += 1
    if outcome not in MEANT and outcome != "accepted":
        findings.fallen.append((outcome, data))


async def _outcome(data: bytes, policy: SourcePolicy) -> str:
    """`accepted`, the code of an error, or what is wrong."""
    try:
        async with open_bytes(data, policy) as audio:
            async for samples in audio:
                if not np.isfinite(samples).all() or np.abs(samples).max(initial=0) > 1:
                    return "samples that are no level"
    except AudioError as error:
        return error.message if error.message.startswith(FALLEN) else error.code
    return "accepted"


def main() -> int:
    """Print what became of the mutants; 1 where something fell."""
    parser = argparse.ArgumentParser(prog="bench.fuzz", description="Recordings with bytes changed at random.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    findings = asyncio.run(attack(options.seed, minutes=options.minutes))
    print(f"{findings.n_mutants} mutants, the slowest in {findings.slowest_s:.2f} s: {dict(findings.outcomes)}")
    for number, (outcome, data) in enumerate(findings.fallen[:10]):
        path = Path(f"fallen-{options.seed}-{number}.bin")
        path.write_bytes(data)
        print(f"{path}: {outcome}")
    return int(bool(findings.fallen))


if __name__ == "__main__":
    sys.exit(main())
