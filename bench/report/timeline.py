"""The picture of one utterance: every text that was shown, each word below the place where it was spoken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.record import TimedText, Timeline
from bench.report.svg import Scale, element, line, picture, text
from bench.words import pairs, tokens

WIDTH = 1120.0
WAVE_TOP, WAVE_BOTTOM = 26.0, 86.0
ROW = 19.0
FIRST_ROW = WAVE_BOTTOM + 34.0
LETTER = 6.1  # pixels, of the 11.5 px face of the page
AFTER_FINAL_S = 0.7
COLUMN_S = 0.02  # of the envelope


def timeline_chart(timeline: Timeline) -> str:
    """Time runs to the right; each row is a text that appeared at its dot."""
    stop = timeline.final.time + AFTER_FINAL_S
    x = Scale(timeline.envelope_start, stop, 0.0, WIDTH)
    bottom = FIRST_ROW + (len(timeline.partials) + 1) * ROW
    parts = [*_wave(timeline, x), *_marks(timeline, x, bottom), *_axis(x, stop, bottom)]
    for index, shown in enumerate([*timeline.partials, timeline.final]):
        final = index == len(timeline.partials)
        parts += _row(timeline, shown, x, FIRST_ROW + index * ROW, "final" if final else "")
    return picture(WIDTH, bottom + 26, "One utterance, from its first sound to its final text", parts)


def _wave(timeline: Timeline, x: Scale) -> Iterator[str]:
    middle, half = (WAVE_TOP + WAVE_BOTTOM) / 2, (WAVE_BOTTOM - WAVE_TOP) / 2
    for run in timeline.speech:
        yield element("rect", x=x(run.start), y=WAVE_TOP, width=x(run.end) - x(run.start),
                      height=WAVE_BOTTOM - WAVE_TOP, rx=3, class_="speech")  # fmt: skip
    for index, level in enumerate(timeline.envelope):
        time = timeline.envelope_start + index * COLUMN_S
        if time < x.high:
            height = max(0.6, level * half)
            yield line(x(time), middle - height, x(time), middle + height, class_="wave")


def _marks(timeline: Timeline, x: Scale, bottom: float) -> Iterator[str]:
    ends = timeline.speech[-1].end
    known = [("speech ends", ends), ("stop noticed", timeline.stopped), ("final", timeline.final.time)]
    for index, (name, time) in enumerate((name, time) for name, time in known if time is not None):
        yield line(x(time), WAVE_TOP - 12 + index * 11, x(time), bottom, class_="mark")
        late = f" +{time - ends:.2f} s" if time > ends else ""
        yield text(x(time) + 4, WAVE_TOP - 5 + index * 12, name + late, class_="mark-name")


def _axis(x: Scale, stop: float, bottom: float) -> Iterator[str]:
    for second in range(int(stop) + 1):
        yield line(x(second), WAVE_BOTTOM, x(second), WAVE_BOTTOM + 5, class_="base")
        yield text(x(second), WAVE_BOTTOM + 16, f"{second} s", class_="tick", text_anchor="middle")
    yield line(0, bottom + 4, WIDTH, bottom + 4, class_="base")


def _row(timeline: Timeline, shown: TimedText, x: Scale, y: float, style: str) -> Iterator[str]:
    yield line(x(x.low), y + 5.5, x(x.high), y + 5.5, class_="row")
    n_stable = len(shown.stable.split())
    free = 0.0
    for index, (word, start) in enumerate(_placed(timeline, f"{shown.stable}{shown.tentative}".split())):
        left = max(free, x(start))
        free = left + LETTER * (len(word) + 1)
        yield text(left, y, word, class_=style or ("stable" if index < n_stable else "tentative"))
    yield element("circle", cx=x(shown.time), cy=y - 4, r=3.2, class_=f"now {style}")


def _placed(timeline: Timeline, words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Each shown word with the time at which it was spoken; one that was never spoken stands behind its neighbour."""
    spoken = [(token, word.start) for word in timeline.words for token in tokens(word.text)]
    shown = [(index, token) for index, word in enumerate(words) for token in tokens(word)]
    partners = {
        shown[theirs][0]: spoken[ours][1]
        for ours, theirs in reversed(pairs([token for token, _ in spoken], [token for _, token in shown]))
    }
    start = 0.0
    for index, word in enumerate(words):
        start = partners.get(index, start)
        yield word, start
