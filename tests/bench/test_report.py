from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.record import Distribution, Level, Record
from bench.report import markdown
from bench.report.charts import CURVES, distribution_chart, streams_chart
from bench.report.page import render
from bench.report.svg import Scale, ticks
from bench.report.terminal import latency_table, summary
from bench.report.timeline import timeline_chart


@given(st.floats(0, 1e6))
def test_ticks_are_even_and_cover_everything(high: float) -> None:
    marks = ticks(high)
    assert marks[0] == 0
    assert marks[-1] >= high * (1 - 1e-6)
    assert len(marks) <= 7
    steps = [later - earlier for earlier, later in pairwise(marks)]
    assert all(step == pytest.approx(steps[0]) for step in steps)


@given(st.floats(-10, 10))
def test_a_scale_stays_inside_its_pixels(value: float) -> None:
    assert 20 <= Scale(-1, 1, 20, 120)(value) <= 120
    assert Scale(-1, 1, 20, 120)(0) == 70


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.title)
def test_charts_are_wellformed_with_a_dot_for_each_level(record: Record, curve: object) -> None:
    chart = ET.fromstring(streams_chart(curve, [record], limit=1.0))  # type: ignore[arg-type]
    dots = [node for node in chart.iter() if node.tag.endswith("circle")]
    assert len(dots) in (3, 6)
    assert sum("broken" in dot.attrib["class"] for dot in dots) == len(dots) // 3


def test_charts_of_one_level_and_of_nothing(record: Record) -> None:
    one = record.model_copy(update={"levels": record.levels[:1]})
    ET.fromstring(streams_chart(CURVES[0], [one]))
    nothing = record.levels[0].latencies.model_copy(update={key: Distribution() for key in ("commit", "word", "text")})
    ET.fromstring(distribution_chart(nothing))


def test_a_timeline_shows_every_text_with_words_below_their_places(record: Record) -> None:
    timeline = record.levels[0].timeline
    assert timeline is not None
    texts = [node for node in ET.fromstring(timeline_chart(timeline)).iter() if node.tag.endswith("text")]
    shown = [
        (node.text, node.attrib["class"]) for node in texts if node.attrib["class"] in ("stable", "tentative", "final")
    ]
    assert shown == [
        ("goat", "tentative"), ("Go", "stable"), ("for", "tentative"), ("Go", "final"), ("forward.", "final"),
    ]  # fmt: skip
    left = {node.text: float(node.attrib["x"]) for node in texts}
    assert left["forward."] - left["Go"] == pytest.approx(0.5 * 1120 / 2.7, abs=1)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]


@pytest.mark.parametrize("n_records", [1, 2])
def test_the_page_is_complete_in_itself(record: Record, n_records: int) -> None:
    page = render([record] * n_records)
    links = _Links()
    links.feed(page)
    assert links.found == []
    assert "A &amp; B" in page
    assert "A &lt;fast&gt; one" in page
    assert not re.search(r"\$[a-z]", page)
    assert page.count("<svg") == 6 + 3 + 1


def test_the_terminal_says_the_same(record: Record) -> None:
    console = Console(record=True, width=120)
    console.print(latency_table(record.levels[2]))
    assert "speech ends → final" in console.export_text()
    lines = "\n".join(summary(record.levels[2]))
    assert "5.0% of 40 words" in lines
    assert "limits broken: commit p95 1.20 s" in lines
    assert "server" not in "\n".join(summary(_unseen(record)))


def _unseen(record: Record) -> Level:
    level = record.levels[0]
    return level.model_copy(update={"cost": level.cost.model_copy(update={"server_cpu_s": None})})


def test_the_markdown_has_a_row_for_each_level(record: Record) -> None:
    table = markdown.results_table([record])
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert rows[1].startswith("| 1 | 0.30 s / 0.66 s |")
    assert rows[3].startswith("| 4 (past its limits) |")
