"""The picture of a benchmark, drawn with Pillow alone: `draw(rows)` of `bench.summarise`."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 2  # pixels a unit: sharp on dense screens
WIDTH, MARGIN, PLOT, LINE = 1080, 44, 240, 30
INK, MUTED, GRID, PAPER = "#1f2430", "#6b7280", "#e5e7eb", "#ffffff"
# A provider has a hue; edgevae its full tone, sess.run a pale one.
HUES = (("#2563eb", "#a9c1f5"), ("#059669", "#9bd5c0"), ("#d97706", "#f2cc9a"))
PHASES = (("import_ms", "import", "#334155"), ("session_ms", "session", "#7c8ca3"),
          ("first_ms", "first image", "#f59e0b"))  # fmt: skip

Row = dict[str, Any]


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float


class Canvas:
    """Text, lines and bars in units of SCALE pixels."""

    def __init__(self, width: float, height: float) -> None:
        from PIL import Image, ImageDraw, ImageFont

        self.image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), PAPER)
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
        """Writes words and returns their width; anchor is Pillow's."""
        font = self._font(size=size * SCALE)
        self._draw.text(
            (x * SCALE, y * SCALE), words, fill=ink, font=font, anchor=anchor,
            stroke_width=SCALE, stroke_fill=PAPER,  # so that no grid line runs through it
        )  # fmt: skip
        return self._draw.textlength(words, font=font) / SCALE

    def line(self, x0: float, y0: float, x1: float, y1: float, ink: str = GRID) -> None:
        ends = [round(p * SCALE) for p in (x0, y0, x1, y1)]
        self._draw.line(ends, fill=ink, width=SCALE)

    def bar(self, box: Box, ink: str) -> None:
        left, top, right, bottom = (round(p * SCALE) for p in box)
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=ink)


class Axis:
    """Values to units along a line, and the round values that are marked on it."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._start, self._end, self._log = start, end, log
        if log:
            powers = range(floor(log10(min(values))), ceil(log10(max(values)) + 1e-9) + 1)
            self.ticks = [10.0**power for power in powers]
            self._low, self._high = float(powers[0]), float(powers[-1])
        else:
            step = _round_step(max(values) / 4)
            count = ceil(max(values) / step)
            self.ticks = [step * i for i in range(count + 1)]
            self._low, self._high = self.ticks[0], self.ticks[-1]

    def at(self, value: float) -> float:
        placed = log10(value) if self._log else value
        share = (placed - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def draw(rows: Sequence[Row], *, title: str, subtitle: str) -> "Image":
    """Latency, throughput, cold start and memory of each of `rows`, as an RGB image.

    Latency: a bar to the median, a whisker on to p90 (tick) and p99 (end), on a logarithmic axis,
    as batches differ by orders of magnitude. The other axes are linear and start at 0.
    """
    top, lower = 168, 168 + PLOT + 96
    canvas = Canvas(WIDTH, lower + LINE * len(rows) + 52)
    canvas.text(MARGIN, 40, title, size=22)
    canvas.text(MARGIN, 68, subtitle, ink=MUTED)
    legend(canvas, MARGIN, 100, list(zip(map(name_of, rows), inks(rows), strict=True)))
    half = WIDTH / 2
    _latency(canvas, Box(MARGIN + 40, top, half - 24, top + PLOT), rows)
    _throughput(canvas, Box(half + 64, top, WIDTH - MARGIN, top + PLOT), rows)
    _cold(canvas, Box(MARGIN + 112, lower, half - 24, lower + LINE * len(rows)), rows)
    _memory(canvas, Box(half + 24, lower, WIDTH - MARGIN - 60, lower + LINE * len(rows)), rows)
    return canvas.image


def name_of(row: Row) -> str:
    return f"{row['provider']}  {row['runner']}"


def inks(rows: Sequence[Row]) -> list[str]:
    """One colour a row: the provider's hue, pale where the runner is not edgevae."""
    providers = list(dict.fromkeys(row["provider"] for row in rows))
    return [
        HUES[providers.index(row["provider"]) % len(HUES)][row["runner"] != "edgevae"]
        for row in rows
    ]


def _latency(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    every = [b[f"p{q}_ms"] for row in rows for b in row["batches"].values() for q in (50, 99)]
    axis = Axis(every, box.bottom, box.top, log=True)
    frame(canvas, box, axis, "Latency in ms: median, whisker to p90 and p99 (log scale)")
    for left, right, ink, b in _bars(canvas, box, rows):
        p50, p90, p99 = (axis.at(b[f"p{q}_ms"]) for q in (50, 90, 99))
        canvas.bar(Box(left, p50, right, box.bottom), ink)
        middle, reach = (left + right) / 2, (right - left) / 5
        canvas.line(middle, p50, middle, p99, INK)
        for y in (p90, p99):
            canvas.line(middle - reach, y, middle + reach, y, INK)
        canvas.text(middle, p99 - 4, _short(b["p50_ms"]), size=10, ink=MUTED, anchor="mb")


def _throughput(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    every = [b["images_per_s"] for row in rows for b in row["batches"].values()]
    axis = Axis(every, box.bottom, box.top, log=False)
    frame(canvas, box, axis, "Throughput in images/s")
    for left, right, ink, b in _bars(canvas, box, rows):
        top = axis.at(b["images_per_s"])
        canvas.bar(Box(left, top, right, box.bottom), ink)
        label = f"{b['images_per_s']:,.0f}"
        canvas.text((left + right) / 2, top - 4, label, size=10, ink=MUTED, anchor="mb")


def _cold(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    axis = Axis([row["cold"]["total_ms"] for row in rows], box.left, box.right - 44, log=False)
    canvas.text(box.left - 112, box.top - 46, "Cold start in ms", size=13)
    legend(canvas, box.left, box.top - 46, [(label, ink) for _, label, ink in PHASES])
    for row, y in _lines(canvas, box, rows):
        reached = 0.0
        for phase, _, ink in PHASES:
            left, reached = axis.at(reached), reached + row["cold"][phase]
            canvas.bar(Box(left, y - 8, axis.at(reached), y + 8), ink)
        canvas.text(axis.at(reached) + 6, y, f"{row['cold']['total_ms']:.0f}", size=11)


def _memory(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    known = [row["peak_rss_mib"] for row in rows if row["peak_rss_mib"] is not None]
    canvas.text(box.left, box.top - 46, "Peak memory (RSS) in MiB", size=13)
    if not known:
        canvas.text(box.left, box.top, "not reported by this system", ink=MUTED)
        return
    axis = Axis(known, box.left, box.right, log=False)
    for i, (row, ink) in enumerate(zip(rows, inks(rows), strict=True)):
        if row["peak_rss_mib"] is not None:
            y, right = box.top + i * LINE, axis.at(row["peak_rss_mib"])
            canvas.bar(Box(box.left, y - 8, right, y + 8), ink)
            canvas.text(right + 6, y, f"{row['peak_rss_mib']:.0f}", size=11)


def frame(canvas: Canvas, box: Box, axis: Axis, title: str) -> None:
    """A title above the box, and a line with its value at each tick of an upright axis."""
    canvas.text(box.left - 40, box.top - 30, title, size=13)
    for tick in axis.ticks:
        y = axis.at(tick)
        canvas.line(box.left, y, box.right, y)
        canvas.text(box.left - 8, y, f"{tick:,.10g}", size=11, ink=MUTED, anchor="rm")


def _bars(canvas: Canvas, box: Box, rows: Sequence[Row]) -> list[tuple[float, float, str, Row]]:
    """(left, right, colour, figures) of each bar, grouped by batch, with the batches named."""
    batches = list(rows[0]["batches"])
    group = (box.right - box.left) / len(batches)
    width = min(44.0, group * 0.8 / len(rows))
    placed = []
    for i, batch in enumerate(batches):
        middle = box.left + (i + 0.5) * group
        canvas.text(middle, box.bottom + 16, f"batch {batch}", size=12, anchor="mm")
        left = middle - width * len(rows) / 2
        for j, (row, ink) in enumerate(zip(rows, inks(rows), strict=True)):
            edges = left + j * width + 1, left + (j + 1) * width - 1
            placed.append((*edges, ink, row["batches"][batch]))
    return placed


def _lines(canvas: Canvas, box: Box, rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Each row with the height of its line, named on the left."""
    for i, row in enumerate(rows):
        canvas.text(box.left - 112, box.top + i * LINE, name_of(row), size=12)
    return [(row, box.top + i * LINE) for i, row in enumerate(rows)]


def legend(canvas: Canvas, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
    """From x on: words, each after a square of its colour."""
    for words, ink in entries:
        canvas.bar(Box(x, y - 5, x + 10, y + 5), ink)
        x += 16 + canvas.text(x + 16, y, words, size=12) + 20


def _short(value: float) -> str:
    """Three digits of a number, all of one from 100, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** floor(log10(least))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= least)
