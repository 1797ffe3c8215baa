"""Figures as lines of text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

WIDTH = 38


def line(title: str, values: Sequence[float], unit: str = "", note: str = "") -> str:
    """Median, smallest and largest."""
    middle = number(statistics.median(values))
    spread = f"({number(min(values))} to {number(max(values))})"
    return f"  {title:{WIDTH}} {middle:>9} {unit:7} {spread:22} {note}".rstrip()


def number(value: float) -> str:
    """With as many digits as say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"
