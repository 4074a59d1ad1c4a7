"""The pieces of a self-contained HTML page: no script, no address outside itself, readable on a desk and on a phone.

Charts are HTML boxes placed in percent, so that their text keeps its size at any width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from ferkit.data import EMOTIONS

STYLE = """
:root { --paper: #fff; --ink: #1c2430; --quiet: #667085; --line: #e3e7ed; --panel: #f6f8fa; --blue: 43 108 176;
  --good: #1d7a55; --bad: #b83227; --plain: #667085;
  --c0: #2b6cb0; --c1: #dd6b20; --c2: #2f855a; --c3: #805ad5; --c4: #b83280; --c5: #718096; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e6eaf0; --quiet: #98a2b3; --line: #2b3340;
  --panel: #1b212b; --blue: 90 160 230; --good: #4cc38a; --bad: #f2776b; --plain: #98a2b3;
  --c0: #63a4e8; --c1: #f0965a; --c2: #57c08a; --c3: #a98bf0; --c4: #e57ab5; --c5: #a0aec0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .2rem 0 .6rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: 1.2rem 0 .35rem; }
p, ul { max-width: 46rem; margin: .4rem 0; } ul { padding-left: 1.2rem; }
code { font: .88em ui-monospace, monospace; background: var(--panel); padding: .1em .3em; border-radius: 4px;
  overflow-wrap: anywhere; }
pre { background: var(--panel); padding: .7rem .9rem; border-radius: 8px; overflow-x: auto; max-width: 46rem; }
pre code { padding: 0; background: none; overflow-wrap: normal; }
.quiet, .eyebrow { color: var(--quiet); } .eyebrow { font-size: .85rem; }
.badge { display: inline-block; padding: .1em .6em; border-radius: 1em; font-size: .8rem; font-weight: 600;
  color: var(--paper); background: var(--plain); white-space: nowrap; }
.approved { background: var(--good); } .rejected, .failed { background: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.2rem, 1fr)); gap: .7rem 1.2rem;
  margin: 1rem 0; }
.facts dt { color: var(--quiet); font-size: .8rem; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: nowrap; }
thead th { color: var(--quiet); font-weight: 500; font-size: .82rem; vertical-align: bottom; }
td small { display: block; color: var(--quiet); font-size: .78rem; white-space: nowrap; }
td.best { font-weight: 700; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: .5rem 2.5rem; }
.side > * { min-width: 0; }
.confusion { table-layout: fixed; width: 100%; max-width: 30rem; font-size: .85rem; }
.confusion th { font-weight: 400; padding: .2rem .15rem; border: 0; color: var(--quiet); text-align: center; }
.confusion tbody th { text-align: right; width: 4.4rem; padding-right: .4rem; }
.confusion thead th:first-child { width: 4.4rem; }
.confusion thead th span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion td { border: 1px solid var(--paper); text-align: center; padding: .45rem 0; }
.confusion td:first-child { padding-left: 0; text-align: center; }
.confusion td:first-of-type { padding-left: 0; text-align: center; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .85rem; margin: .5rem 0; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em; }
.chart { max-width: 46rem; font-size: .85rem; margin: .5rem 0; }
.row { display: grid; grid-template-columns: 5.2rem 1fr; gap: .6rem; border-bottom: 1px solid var(--line); }
.row > span { align-self: center; } .row > span small { color: var(--quiet); display: block; line-height: 1.1; }
.track { position: relative;
  background: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px var(--step)); }
.mark { position: relative; height: 1.25rem; }
.mark b, .mark i { position: absolute; top: 50%; }
.mark i { height: 3px; margin-top: -1.5px; border-radius: 2px; opacity: .45; }
.mark b { width: .62rem; height: .62rem; margin: -.31rem 0 0 -.31rem; border-radius: 50%; }
.mark em { position: absolute; top: 0; font-style: normal; font-size: .78rem; color: var(--quiet);
  white-space: nowrap; }
.rule { position: absolute; top: 0; bottom: 0; width: 0; border-left: 2px solid var(--ink); }
.rule.limit { border-left: 2px dashed var(--bad); }
.axis { display: flex; justify-content: space-between; color: var(--quiet); font-size: .78rem; margin-left: 5.8rem; }
.bar { height: .8rem; margin: .18rem 0; border-radius: 2px; min-width: 1px; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: .9rem; max-width: 100%; }
.gallery figure { margin: 0; font-size: .8rem; line-height: 1.3; }
.gallery img { width: 100%; image-rendering: pixelated; border-radius: 6px; display: block; margin-bottom: .25rem; }
.wrong { color: var(--bad); }
svg { max-width: 100%; } svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
@media print { h2 { break-after: avoid; } figure, .row, tr { break-inside: avoid; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML document; `title` is plain text, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def facts(entries: Mapping[str, str]) -> str:
    """Names with their values, plain text; empty values are left out."""
    pairs = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries.items() if value)
    return f'<dl class="facts">{"".join(pairs)}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways on a phone; head is plain text, cells are HTML (a whole `<td …>` or its inside)."""
    columns = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(
        f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div>'


def bullets(sentences: Iterable[str]) -> str:
    """A list of plain sentences; nothing when there are none."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def confusion_table(counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix, truth along the rows: percent of the true class in the cell, faces as its tooltip."""
    head = "".join(f"<th><span>{emotion}</span></th>" for emotion in EMOTIONS)
    lines = []
    for emotion, row in zip(EMOTIONS, counts, strict=True):
        total = sum(row)
        cells = []
        for called, count in zip(EMOTIONS, row, strict=True):
            share = count / total if total else 0.0
            ink = "#fff" if share > 0.55 else "inherit"
            text = f"{100 * share:.0f}" if count else ""
            cells.append(
                f'<td style="background:rgb(var(--blue) / {share:.3f});color:{ink}" '
                f'title="{count:,} of {total:,} {emotion} called {called}">{text}</td>'
            )
        lines.append(f"<tr><th>{emotion}</th>{''.join(cells)}</tr>")
    return f'<table class="confusion"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


class Mark(NamedTuple):
    """A value with the ends of its interval (NaN for none), and the number of its colour."""

    value: float
    low: float
    high: float
    colour: int = 0
    text: str = ""


def legend(names: Sequence[str]) -> str:
    """The colours 0, 1, … and whose they are."""
    return (
        '<div class="legend">'
        + "".join(
            f'<span><i style="background:var(--c{number % 6})"></i>{escape(name)}</span>'
            for number, name in enumerate(names)
        )
        + "</div>"
    )


def dot_chart(
    rows: Mapping[str, Sequence[Mark]], start: float, end: float, notes: Mapping[str, str], rules: Mapping[str, float]
) -> str:
    """Values with intervals, a row of marks per name, on a scale from `start` to `end`.

    Args:
        rows: the marks of each row.
        start: left end of the scale.
        end: right end.
        notes: a few words under a row's name.
        rules: vertical lines, by CSS class: `zero`, `limit`.
    """

    def place(value: float) -> float:
        return 100 * (min(max(value, start), end) - start) / (end - start)

    lines = "".join(f'<div class="rule {name}" style="left:{place(at):.2f}%"></div>' for name, at in rules.items())
    drawn = []
    for name, marks in rows.items():
        boxes = []
        for mark in marks:
            colour = f"background:var(--c{mark.colour % 6})"
            at = place(mark.value)
            left, right = (at, at) if math.isnan(mark.low) else (place(mark.low), place(mark.high))
            whisker = f'<i style="left:{left:.2f}%;width:{right - left:.2f}%;{colour}"></i>'
            side = f"right:{101 - left:.2f}%" if right > 80 else f"left:{right + 2:.2f}%"
            label = f'<em style="{side}">{escape(mark.text)}</em>' if mark.text else ""
            boxes.append(f'<div class="mark">{whisker}<b style="left:{at:.2f}%;{colour}"></b>{label}</div>')
        note = f"<small>{escape(notes[name])}</small>" if name in notes else ""
        drawn.append(
            f'<div class="row"><span>{escape(name)}{note}</span><div class="track">{"".join(boxes)}{lines}</div></div>'
        )
    ticks = "".join(f"<span>{start + (end - start) * step / 4:.3g}</span>" for step in range(5))
    return f'<div class="chart" style="--step:25%">{"".join(drawn)}<div class="axis">{ticks}</div></div>'


def bar_chart(rows: Mapping[str, Sequence[float]], notes: Mapping[str, str]) -> str:
    """Bars from 0 to the largest value, one per colour in each row, with `notes` under the row's name."""
    largest = max((value for values in rows.values() for value in values), default=0) or 1
    drawn = []
    for name, values in rows.items():
        bars = "".join(
            f'<div class="bar" style="width:{100 * value / largest:.2f}%;background:var(--c{number % 6})" '
            f'title="{value:,.0f}"></div>'
            for number, value in enumerate(values)
        )
        note = f"<small>{escape(notes[name])}</small>" if name in notes else ""
        drawn.append(f'<div class="row"><span>{escape(name)}{note}</span><div>{bars}</div></div>')
    return f'<div class="chart">{"".join(drawn)}</div>'


def reliability_chart(curves: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """Curves on the unit square in the colours 0, 1, …, a disc per bin as large share of the faces.

    Args:
        curves: `confidence`, `accuracy` and `faces` per bin of each.
    """
    side, edge = 260, 34
    drawn = [
        f'<line x1="{edge}" y1="{side + 8}" x2="{edge + side}" y2="8" stroke="var(--quiet)" stroke-dasharray="4 4"/>'
    ]
    for number, curve in enumerate(curves):
        colour = f"var(--c{number % 6})"
        points = [
            (edge + side * x, 8 + side * (1 - y)) for x, y in zip(curve["confidence"], curve["accuracy"], strict=True)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(
            f'<polyline points="{line}" stroke="{colour}" stroke-opacity=".45" stroke-width="1.5" fill="none"/>'
        )
        total = sum(curve["faces"])
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.2 + 14 * math.sqrt(faces / total):.1f}" fill="{colour}" '
            f'fill-opacity=".75"><title>{faces:,.0f} faces</title></circle>'
            for (x, y), faces in zip(points, curve["faces"], strict=True)
        ]
    labels = "".join(
        f'<text x="{edge + side * tick:.0f}" y="{side + 24}" text-anchor="middle">{tick:g}</text>'
        f'<text x="{edge - 6}" y="{12 + side * (1 - tick):.0f}" text-anchor="end">{tick:g}</text>'
        for tick in (0, 0.5, 1)
    )
    frame = f'<rect x="{edge}" y="8" width="{side}" height="{side}" fill="none" stroke="var(--line)"/>'
    return (
        f'<svg viewBox="0 0 {side + edge + 14} {side + 48}" width="{side + edge + 14}" role="img">'
        f'{frame}{"".join(drawn)}{labels}<text x="{edge + side / 2}" y="{side + 42}" text-anchor="middle">'
        "probability it gives</text></svg>"
    )
