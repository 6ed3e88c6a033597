"""Puts the page together."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from bench.record import Level, Record
from bench.report.charts import CURVES, KINDS, Curve, distribution_chart, streams_chart
from bench.report.table import results_table
from bench.report.timeline import timeline_chart

TEMPLATE = Path(__file__).with_name("page.html")

DEFINITIONS = (
    ("First text", "From the first sound of an utterance until any text of it is on screen."),
    ("A word for good", "From the end of a spoken word until it is on screen, stable or not, and stays unchanged."),
    ("Whole text", "From the last sound of an utterance until its whole text is on screen and stays unchanged."),
    ("Committed", "From the last sound of an utterance until its final arrives. It includes the silence that the server"
                  " waits for before it calls an utterance over."),
    ("Longest gap", "The longest time within an utterance in which nothing new came on screen while somebody spoke."),
    ("Partial lag", "How old the newest sample that a partial has heard is when the partial arrives."),
    ("Word errors", "Of the finals of whole streams against what is said in the clips, after OpenAI's normaliser."),
    ("CPU", "Time of the server's processes on all cores; the load generator runs in a process of its own."),
    ("Others", "Cores that everything else on the machine kept busy meanwhile: where it is not near 0, the figures are"
               " not the server's alone."),
)  # fmt: skip


def render(records: Sequence[Record]) -> str:
    """The page, complete in itself; the first record is the one whose distributions and timeline are shown."""
    main = records[0]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(" and ".join(dict.fromkeys(record.settings.label for record in records))),
        lead=_lead(main),
        table=results_table(records),
        streams_note=_streams_note(main),
        series_key=_key([(record.settings.label, "abcd"[index % 4]) for index, record in enumerate(records)]),
        streams_charts="".join(_streams_figure(curve, records) for curve in CURVES),
        kinds_key=_key([(kind.title, kind.colour) for kind in KINDS]),
        distributions="".join(
            _figure(_streams(level), "s", distribution_chart(level.latencies)) for level in _telling(main)
        ),
        timeline=_timeline(main),
        definitions="".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in DEFINITIONS),
        footer="<br>".join(f"{escape(record.started)} · <code>{escape(record.settings.command)}</code>"
                           for record in records),
    )  # fmt: skip


def _lead(record: Record) -> str:
    machine, settings = record.machine, record.settings
    language = f"language given: {settings.language}" if settings.language else "language detected"
    facts = (
        f"{settings.engine} {settings.model}".strip(),
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB",
        f"{len(settings.clips)} clips, {settings.seconds:g} s a stream at real-time pace,"
        f" blocks of {settings.block_ms} ms, {language}",
        f"commit {machine.commit}" if machine.commit else "",
        ", ".join(f"{name} {version}" for name, version in machine.packages.items()),
    )
    return " · ".join(escape(fact) for fact in facts if fact)


def _streams_note(record: Record) -> str:
    return (
        "The middle (p50) as a line, the slow ones (p95) dashed. A hollow dot: a limit was broken."
        f" Red: the limit for commits, {record.settings.commit_p95:g} s at p95."
    )


def _streams_figure(curve: Curve, records: Sequence[Record]) -> str:
    limit = records[0].settings.commit_p95 if curve.title == "Committed" else None
    return _figure(curve.title, curve.unit, streams_chart(curve, records, limit))


def _figure(title: str, unit: str, chart: str) -> str:
    return f"<figure style='margin:0'><h3>{escape(title)} <small>{escape(unit)}</small></h3>{chart}</figure>"


def _key(entries: Sequence[tuple[str, str]]) -> str:
    if len(entries) < 2:
        return ""
    items = "".join(f"<li><i class='{colour}'></i>{escape(name)}</li>" for name, colour in entries)
    return f"<ul class='key'>{items}</ul>"


def _telling(record: Record) -> list[Level]:
    """The lowest level, the highest that kept its limits, and the one after it."""
    kept = [index for index, level in enumerate(record.levels) if not level.broken_limits]
    highest = kept[-1] if kept else 0
    chosen = dict.fromkeys((0, highest, min(highest + 1, len(record.levels) - 1)))
    return [record.levels[index] for index in chosen]


def _streams(level: Level) -> str:
    return "1 stream" if level.streams == 1 else f"{level.streams} streams"


def _timeline(record: Record) -> str:
    level = next((level for level in record.levels if level.timeline), None)
    if level is None or level.timeline is None:
        return ""
    return (
        f"<h2>One utterance, {_streams(level)}</h2><p class='note'>Each row is what was on screen from its dot on, with"
        " every word below the place where it was spoken: grey may still change, black is stable, bold is the final."
        f"</p><div class='scroll'><div class='timeline'>{timeline_chart(level.timeline)}</div></div>"
    )
