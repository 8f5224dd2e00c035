"""Pictures: benchmark charts, heat maps and maps of the latent space."""

from edgevae.plots.bench_chart import BenchBar, draw_bench_chart
from edgevae.plots.canvas import INK, MARGIN, MUTED, WIDTH, Axis, Box, Canvas
from edgevae.plots.heatmap import draw_heatmaps
from edgevae.plots.latent_map import ACTIVE_VARIANCE, draw_latent_maps, draw_scatter

__all__ = [
    "ACTIVE_VARIANCE",
    "INK",
    "MARGIN",
    "MUTED",
    "WIDTH",
    "Axis",
    "BenchBar",
    "Box",
    "Canvas",
    "draw_bench_chart",
    "draw_heatmaps",
    "draw_latent_maps",
    "draw_scatter",
]
