"""Draw the chart of `bench_peers.py`: each candidate's speed as times of plain onnxruntime's."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevae.plots import INK, MARGIN, MUTED, WIDTH, Axis, Box, Canvas

if TYPE_CHECKING:
    from PIL.Image import Image

INKS = {
    "onnxruntime": "#9ca3af",
    "onnxruntime openvino": "#6b7280",
    "onnxruntime cuda": "#374151",
    "PyTorch, one batch": "#f6d3a8",
    "PyTorch, best chunk": "#f0b36b",
    "torch.compile": "#d97706",
    "OpenVINO float32": "#34a583",
    "OpenVINO default": "#a7dcca",
    "edgevae float32": "#2563eb",
    "edgevae int8": "#93b4f7",
    "edgevae openvino float32": "#6d28d9",
    "edgevae openvino bf16": "#a78bfa",
    "edgevae openvino int8": "#ddd6fe",
    "edgevae cuda float32": "#be185d",
}
PLOT = 320

Row = Mapping[str, Any]


def draw(
    rows: Sequence[Row], goals: Mapping[tuple[str, str], float], *, title: str, subtitle: str
) -> "Image":
    """Return bars of `times_naive`, grouped by decoder, with a line across a bar that has a goal.

    `goals` are by decoder and candidate. A candidate that is absent everywhere takes no place.
    """
    present = [row for row in rows if "absent" not in row]
    decoders = list(dict.fromkeys(row["decoder"] for row in rows))
    canvas = Canvas(WIDTH, 172 + PLOT + 84)
    canvas.text(MARGIN, 40, title, size=22)
    canvas.text(MARGIN, 68, subtitle, ink=MUTED)
    shown = {row["candidate"] for row in present}
    inks = {name: ink for name, ink in INKS.items() if name in shown}
    half = -(-len(inks) // 2)
    canvas.legend(MARGIN, 96, list(inks.items())[:half])
    canvas.legend(MARGIN, 116, list(inks.items())[half:])
    box = Box(MARGIN + 40, 172, WIDTH - MARGIN, 172 + PLOT)
    heights = [row["times_naive"] for row in present] + list(goals.values())
    axis = Axis(heights, box.bottom, box.top, log=False)
    canvas.frame(box, axis, "Times the throughput of one sess.run (a line across: the goal)")
    canvas.line(box.left, axis.at(1), box.right, axis.at(1), MUTED)
    group = (box.right - box.left) / len(decoders)
    width = min(40.0, group * 0.88 / len(inks))
    for row in present:
        middle = box.left + (decoders.index(row["decoder"]) + 0.5) * group
        left = middle + (list(inks).index(row["candidate"]) - len(inks) / 2) * width
        _bar(canvas, Box(left + 1, axis.at(row["times_naive"]), left + width - 1, box.bottom), row)
        if goal := goals.get((row["decoder"], row["candidate"])):
            canvas.line(left - 3, axis.at(goal), left + width + 3, axis.at(goal), INK)
        if row["candidate"] == "onnxruntime":
            canvas.text(middle, box.bottom + 18, row["decoder"], size=14, anchor="mm")
            naive = f"1 = {row['images_per_s']:,.0f} img/s"
            canvas.text(middle, box.bottom + 38, naive, size=11, ink=MUTED, anchor="mm")
    return canvas.image


def _bar(canvas: Canvas, box: Box, row: Row) -> None:
    canvas.bar(box, INKS[row["candidate"]])
    middle = (box.left + box.right) / 2
    label = f"{row['times_naive']:.2f}"
    canvas.text(middle, box.top - 3, label, size=9, ink=MUTED, anchor="mb")
