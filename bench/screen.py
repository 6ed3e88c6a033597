"""What a reader of captions sees, utterance by utterance, and since when it stands there for good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.dialects.base import Committed, Observation, Shown, Stopped
from bench.words import kept, tokens


@dataclass(frozen=True, slots=True)
class Screen:
    """The text of an utterance on screen from `time` (seconds since the stream began) on."""

    time: float
    stable: str
    tentative: str = ""
    at: int | None = None

    @property
    def text(self) -> str:
        """All that is shown."""
        return f"{self.stable}{self.tentative}"


@dataclass
class Utterance:
    """Everything that was shown of one utterance; measured once it is committed."""

    screens: list[Screen] = field(default_factory=list)
    stopped: float | None = None
    committed: float | None = None
    text: str = ""
    span: tuple[int, int] | None = None  # samples (16 kHz) that the server says the text covers

    @property
    def states(self) -> list[tuple[float, list[str]]]:
        """The words on screen and the times at which they appeared, the committed text last."""
        states = [(screen.time, tokens(screen.text)) for screen in self.screens]
        return states if self.committed is None else [*states, (self.committed, tokens(self.text))]


def utterances(observations: Iterable[tuple[float, Observation]]) -> list[Utterance]:
    """Sort a stream's observations by utterance, in the order in which these were first heard of."""
    found: dict[str, Utterance] = {}
    for time, observation in observations:
        match observation:
            case Shown(key, stable, tentative, at):
                found.setdefault(key, Utterance()).screens.append(Screen(time, stable, tentative, at))
            case Stopped(key):
                found.setdefault(key, Utterance()).stopped = time
            case Committed(key, text, span):
                utterance = found.setdefault(key, Utterance())
                utterance.committed, utterance.text, utterance.span = time, text, span
    return list(found.values())


def words_settled(states: Sequence[tuple[float, Sequence[str]]]) -> list[float]:
    """For each word of the last state: the time since which it has been on screen without a break."""
    final_time, final = states[-1]
    settled = [final_time] * len(final)
    standing = set(range(len(final)))
    for time, shown in reversed(states[:-1]):
        standing &= kept(final, shown)
        for index in standing:
            settled[index] = time
    return settled


def text_settled(states: Sequence[tuple[float, Sequence[str]]]) -> float:
    """The time since which the words of the last state, and no others, have been on screen."""
    settled, final = states[-1]
    for time, shown in reversed(states[:-1]):
        if list(shown) != list(final):
            break
        settled = time
    return settled


def broken_promises(utterance: Utterance) -> tuple[int, int]:
    """How many words were called stable, and how many of these the committed text did not keep."""
    final = tokens(utterance.text)
    promised = [tokens(screen.stable) for screen in utterance.screens]
    return max(map(len, promised), default=0), max((_n_broken(stable, final) for stable in promised), default=0)


def _n_broken(stable: Sequence[str], final: Sequence[str]) -> int:
    """Words that an alignment with the final does not keep; the last may begin one: deltas split words."""
    broken = set(range(len(stable))) - kept(stable, final)
    last = len(stable) - 1
    if last in broken and any(word.startswith(stable[last]) for word in final[last : last + 1]):
        broken.remove(last)
    return len(broken)
