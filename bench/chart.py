"""Small line charts as SVG. Comes in: lines of points. Goes out: the file's text. Any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, HIGH, EDGE = 720, 400, 56
COLOURS = ("#b22222", "#1f5fa8", "#2e7d32", "#8a5a00")


@dataclass(frozen=True, slots=True)
class Line:
    """A name and (x, y) points in rising x; both from 0 on."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(title: str, of_y: str, lines: Sequence[Line]) -> str:
    """Axes from 0 to the largest values, each point marked with its y."""
    most_x = max((x for line in lines for x, _ in line.points), default=1.0) or 1.0
    most_y = max((y for line in lines for _, y in line.points), default=1.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{HIGH}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{EDGE}" y="22" font-size="15">{escape(title)}</text>',
        f'<text x="{EDGE}" y="40" fill="#555">{escape(of_y)}</text>',
        f'<path d="M{EDGE} {EDGE}V{HIGH - EDGE}H{WIDE - EDGE / 2}" fill="none" stroke="#555"/>',
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        places = [
            (
                EDGE + x / most_x * (WIDE - 2 * EDGE),
                HIGH - EDGE - y / most_y * (HIGH - 2.2 * EDGE),
                f"{y:.0f}",
                f"{x:.1f}".rstrip("0").rstrip("."),
            )
            for x, y in line.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, of, at in places:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            parts.append(f'<text x="{x + 5:.1f}" y="{y - 6:.1f}" fill="{colour}">{of}</text>')
            parts.append(f'<text x="{x:.1f}" y="{HIGH - EDGE + 15 + 13 * number}" fill="{colour}">{at}</text>')
        parts.append(f'<text x="{WIDE / 2}" y="{22 + 16 * number}" fill="{colour}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def beside(charts: Sequence[str]) -> str:
    """Several charts in a row."""
    placed = [one.replace("<svg ", f'<svg x="{WIDE * n}" ', 1) for n, one in enumerate(charts)]
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE * len(placed)}" height="{HIGH}">', *placed, "</svg>\n"]
    )
