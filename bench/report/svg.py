"""Just enough SVG: elements, and scales from values to pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """An element; `class_` and `stroke_width` become `class` and `stroke-width`, numbers are rounded to 0.1 pixels."""
    pairs = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{pairs}>{content}</{name}>"


def _value(value: str | float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))


def text(x: float, y: float, content: str, **attributes: str) -> str:
    """A line of text; `content` is escaped."""
    return element("text", escape(content), x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: str) -> str:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def path(points: Iterable[tuple[float, float]], **attributes: str) -> str:
    """A line through points."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", d=f"M{steps}", fill="none", **attributes)


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole picture, as wide as its container; `title` is for those who cannot see it."""
    view = f"0 0 {width:g} {height:g}"
    content = element("title", escape(title)) + "".join(parts)
    return element("svg", content, viewBox=view, role="img", xmlns="http://www.w3.org/2000/svg")


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`…`high` linearly to the pixels `start`…`stop`; what lies beyond is put on the edge."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


SMALLEST = 1e-6
"""Scales of smaller values are all the same."""


def ticks(high: float, most: int = 5) -> Sequence[float]:
    """Round values from 0 to the first one not below `high`, at most `most` steps."""
    high = max(high, SMALLEST)
    rough = high / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    return [round(index * step, 10) for index in range(math.ceil(high / step - 1e-9) + 1)]
