"""The chart of a benchmark."""

from edgevae.plots import bench_chart, canvas
from edgevae.plots.bench_chart import BenchBar, draw_bench_chart


def test_the_chart_draws_every_case_in_its_colour():
    bars = [
        BenchBar("onnxruntime plain", 1.0, [1.0, 1.0], "2.00 ms"),
        BenchBar("edgevae compiled", 1.5, [1.4, 1.7], "1.33 ms"),
        BenchBar("edgevae compiled int8", 4.0, [4.0], "0.500 ms"),
    ]
    colours = bench_chart.inks(bars)
    assert colours["onnxruntime plain"] == bench_chart.PLAIN
    assert len(set(colours.values())) == 3
    image = draw_bench_chart({"1 row": bars, "8 rows": bars}, title="a", subtitle="b")
    drawn = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(2**24)}
    assert set(colours.values()) <= drawn
    assert image.width == canvas.WIDTH * canvas.SCALE
    shorter = draw_bench_chart({"1 row": bars}, title="a", subtitle="b")
    assert shorter.height < image.height
