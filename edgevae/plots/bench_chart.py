"""The chart of a benchmark, drawn with Pillow alone: bars of times of plain onnxruntime."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgevae.plots.canvas import INK, MARGIN, MUTED, WIDTH, Axis, Box, Canvas

if TYPE_CHECKING:
    from PIL.Image import Image

# Units: the height of a line, of a bar and of a section's title; the columns beside the bars.
LINE, BAR, TITLE = 32, 20, 40
NAMES, FIGURES = 196, 150
PLAIN = "#c3c9d3"  # of onnxruntime alone
# The colours of the other cases, by the order in which they first appear.
INKS = ("#2563eb", "#0d9488", "#7c3aed", "#d97706", "#be185d")


class BenchBar(NamedTuple):
    """A case: its name, its times of plain onnxruntime, those of each round, its time in words."""

    name: str
    times_plain: float
    rounds: Sequence[float]
    time: str


def draw_bench_chart(
    sections: Mapping[str, Sequence[BenchBar]], *, title: str, subtitle: str
) -> "Image":
    """Return a bar for each case in RGB, in sections with a title; 1 is plain onnxruntime.

    A whisker goes from the lowest round to the highest. All bars have one scale from 0 on.
    """
    bars = [bar for section in sections.values() for bar in section]
    top = 128
    height = top + TITLE * len(sections) + LINE * len(bars) + 44
    canvas = Canvas(WIDTH, height)
    canvas.text(MARGIN, 42, title, size=26)
    canvas.text(MARGIN, 76, subtitle, size=14, ink=MUTED)
    left, right = MARGIN + NAMES, WIDTH - MARGIN - FIGURES
    axis = Axis([max([bar.times_plain, *bar.rounds]) for bar in bars], left, right, log=False)
    canvas.text(left, 108, "times plain onnxruntime: longer is faster", size=14)
    canvas.text(WIDTH - MARGIN, 108, "median of a call", size=14, anchor="rm")
    for tick in axis.ticks:
        canvas.line(axis.at(tick), top, axis.at(tick), height - 36)
        canvas.text(axis.at(tick), height - 22, f"{tick:g}x", size=13, ink=MUTED, anchor="mm")
    canvas.line(axis.at(1), top, axis.at(1), height - 36, INK)
    colours, y = inks(bars), float(top)
    for name, section in sections.items():
        canvas.text(MARGIN, y + TITLE - 14, name, size=15)
        y += TITLE
        for bar in section:
            _draw_bar(canvas, axis, bar, y + LINE / 2, colours[bar.name])
            y += LINE
    return canvas.image


def inks(bars: Sequence[BenchBar]) -> dict[str, str]:
    """Return the colour of each name: grey for onnxruntime alone, else a hue of its own."""
    names = dict.fromkeys(bar.name for bar in bars)
    ours = [name for name in names if name.startswith("edgevae")]
    hues = {name: INKS[i % len(INKS)] for i, name in enumerate(ours)}
    return {name: hues.get(name, PLAIN) for name in names}


def _draw_bar(canvas: Canvas, axis: Axis, bar: BenchBar, y: float, ink: str) -> None:
    """Draw a case with its name, its ratio and its time at the height y."""
    start, end = axis.at(0), axis.at(bar.times_plain)
    low, high = (axis.at(pick(bar.rounds, default=bar.times_plain)) for pick in (min, max))
    canvas.text(MARGIN, y, bar.name, size=14)
    canvas.bar(Box(start, y - BAR / 2, end, y + BAR / 2), ink)
    if high > low:
        canvas.line(low, y, high, y, INK)
        for x in (low, high):
            canvas.line(x, y - 4, x, y + 4, INK)
    canvas.text(max(end, high) + 8, y, f"{bar.times_plain:.2f}x", size=14)
    canvas.text(WIDTH - MARGIN, y, bar.time, size=14, ink=MUTED, anchor="rm")
