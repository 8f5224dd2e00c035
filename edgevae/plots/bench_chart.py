"""The chart of a benchmark, drawn with Pillow alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgevae.plots.canvas import INK, MARGIN, MUTED, WIDTH, Axis, Box, Canvas

if TYPE_CHECKING:
    from PIL.Image import Image

PLOT, LINE = 240, 30  # units: the height of an upper plot, and of a line of the lower ones
# Each provider has a hue: edgevae in full, sess.run in pale.
HUES = (("#2563eb", "#a9c1f5"), ("#059669", "#9bd5c0"), ("#d97706", "#f2cc9a"))
PHASES = (("import_ms", "import", "#334155"), ("session_ms", "session", "#7c8ca3"),
          ("first_ms", "first image", "#f59e0b"))  # fmt: skip

Row = dict[str, Any]


def draw_bench_chart(rows: Sequence[Row], *, title: str, subtitle: str) -> "Image":
    """Return latency, throughput, cold start and memory of `bench.summarise`'s rows, in RGB.

    Latency is a bar to the median with a whisker to p90 (a tick) and p99 (its end). Its axis is
    logarithmic, since batches differ by orders of magnitude; the other axes start at 0.
    """
    top, lower = 168, 168 + PLOT + 96
    canvas = Canvas(WIDTH, lower + LINE * len(rows) + 52)
    canvas.text(MARGIN, 40, title, size=22)
    canvas.text(MARGIN, 68, subtitle, ink=MUTED)
    canvas.legend(MARGIN, 100, list(zip(map(name_of, rows), inks(rows), strict=True)))
    half = WIDTH / 2
    _latency(canvas, Box(MARGIN + 40, top, half - 24, top + PLOT), rows)
    _throughput(canvas, Box(half + 64, top, WIDTH - MARGIN, top + PLOT), rows)
    _cold_start(canvas, Box(MARGIN + 112, lower, half - 24, lower + LINE * len(rows)), rows)
    _memory(canvas, Box(half + 24, lower, WIDTH - MARGIN - 60, lower + LINE * len(rows)), rows)
    return canvas.image


def name_of(row: Row) -> str:
    """Return the name of a row: its provider and its runner."""
    return f"{row['provider']}  {row['runner']}"


def inks(rows: Sequence[Row]) -> list[str]:
    """Return a colour for each row: the provider's hue, pale if the runner is not edgevae."""
    providers = list(dict.fromkeys(row["provider"] for row in rows))
    return [
        HUES[providers.index(row["provider"]) % len(HUES)][row["runner"] != "edgevae"]
        for row in rows
    ]


def _latency(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    every = [b[f"p{q}_ms"] for row in rows for b in row["batches"].values() for q in (50, 99)]
    axis = Axis(every, box.bottom, box.top, log=True)
    canvas.frame(box, axis, "Latency in ms: median, whisker to p90 and p99 (log scale)")
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
    canvas.frame(box, axis, "Throughput in images/s")
    for left, right, ink, b in _bars(canvas, box, rows):
        top = axis.at(b["images_per_s"])
        canvas.bar(Box(left, top, right, box.bottom), ink)
        label = f"{b['images_per_s']:,.0f}"
        canvas.text((left + right) / 2, top - 4, label, size=10, ink=MUTED, anchor="mb")


def _cold_start(canvas: Canvas, box: Box, rows: Sequence[Row]) -> None:
    axis = Axis([row["cold"]["total_ms"] for row in rows], box.left, box.right - 44, log=False)
    canvas.text(box.left - 112, box.top - 46, "Cold start in ms", size=13)
    canvas.legend(box.left, box.top - 46, [(label, ink) for _, label, ink in PHASES])
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


def _bars(canvas: Canvas, box: Box, rows: Sequence[Row]) -> list[tuple[float, float, str, Row]]:
    """Write the batches' names; return (left, right, colour, figures) of each bar of a batch."""
    batches = list(rows[0]["batches"])
    group = (box.right - box.left) / len(batches)
    width = min(44.0, group * 0.8 / len(rows))
    bars = []
    for i, batch in enumerate(batches):
        middle = box.left + (i + 0.5) * group
        canvas.text(middle, box.bottom + 16, f"batch {batch}", size=12, anchor="mm")
        left = middle - width * len(rows) / 2
        for j, (row, ink) in enumerate(zip(rows, inks(rows), strict=True)):
            edges = left + j * width + 1, left + (j + 1) * width - 1
            bars.append((*edges, ink, row["batches"][batch]))
    return bars


def _lines(canvas: Canvas, box: Box, rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Write the rows' names on the left, and return each row with the y of its line."""
    for i, row in enumerate(rows):
        canvas.text(box.left - 112, box.top + i * LINE, name_of(row), size=12)
    return [(row, box.top + i * LINE) for i, row in enumerate(rows)]


def _short(value: float) -> str:
    """Return a number in three digits, or in all digits before the point, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
