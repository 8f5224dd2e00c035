"""Text, lines, bars and axes, drawn with Pillow alone, for charts."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

SCALE = 2  # pixels in a unit, so that charts are sharp on dense screens
WIDTH, MARGIN = 1080, 44  # of a chart, in units
INK, MUTED, GRID, PAPER = "#1f2430", "#6b7280", "#e5e7eb", "#ffffff"


class Box(NamedTuple):
    """A rectangle in units, whose y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float


class Canvas:
    """A picture on which places and sizes are in units of `SCALE` pixels."""

    def __init__(self, width: float, height: float) -> None:
        from PIL import Image, ImageDraw, ImageFont

        self.image: Image.Image = Image.new(
            "RGB", (round(width * SCALE), round(height * SCALE)), PAPER
        )
        self._draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        ink: str = INK,
        anchor: str = "lm",
    ) -> float:
        """Write words at (x, y) and return their width; `anchor` is Pillow's."""
        font = self._font(size=size * SCALE)
        self._draw.text(
            (x * SCALE, y * SCALE), words, fill=ink, font=font, anchor=anchor,
            stroke_width=SCALE, stroke_fill=PAPER,  # covers the grid lines behind the words
        )  # fmt: skip
        return self._draw.textlength(words, font=font) / SCALE

    def line(self, x0: float, y0: float, x1: float, y1: float, ink: str = GRID) -> None:
        """Draw a line from (x0, y0) to (x1, y1)."""
        ends = [round(p * SCALE) for p in (x0, y0, x1, y1)]
        self._draw.line(ends, fill=ink, width=SCALE)

    def bar(self, box: Box, ink: str) -> None:
        """Fill a box, which is at least one pixel wide and high."""
        left, top, right, bottom = (round(p * SCALE) for p in box)
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=ink)

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """Write (words, colour) entries in a line from (x, y) on, each after a square."""
        for words, ink in entries:
            self.bar(Box(x, y - 5, x + 10, y + 5), ink)
            x += 16 + self.text(x + 16, y, words, size=12) + 20

    def frame(self, box: Box, axis: "Axis", title: str) -> None:
        """Write a title above a box, and draw a line with its value at each tick of the y axis."""
        self.text(box.left - 40, box.top - 30, title, size=13)
        for tick in axis.ticks:
            y = axis.at(tick)
            self.line(box.left, y, box.right, y)
            self.text(box.left - 8, y, f"{tick:,.10g}", size=11, ink=MUTED, anchor="rm")


class Axis:
    """A scale from values to places between `start` and `end`, with round values as ticks.

    A linear axis starts at 0; a logarithmic one starts and ends at powers of ten.
    """

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._start, self._end, self._log = start, end, log
        if log:
            powers = range(floor(log10(min(values))), ceil(log10(max(values)) + 1e-9) + 1)
            self.ticks = [10.0**power for power in powers]
            self._low, self._high = float(powers[0]), float(powers[-1])
        else:
            step = _round_step(max(values) / 6)
            count = ceil(max(values) / step)
            self.ticks = [step * i for i in range(count + 1)]
            self._low, self._high = self.ticks[0], self.ticks[-1]

    def at(self, value: float) -> float:
        """Return the place of a value."""
        position = log10(value) if self._log else value
        share = (position - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _round_step(minimum: float) -> float:
    """Return the smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `minimum`."""
    power = 10.0 ** floor(log10(minimum))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= minimum)
