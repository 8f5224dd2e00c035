"""Reports of processes as `run_once` returns them, with invented figures."""

from edgevae.diagnostics import bench

BASE = bench.Case("sess.run", "plain", "cpu")
OURS = bench.Case("edgevae", "compiled", "cpu")


def report(case: bench.Case, scale: float, **facts: object) -> bench.Report:
    """Return the report of a process whose times are multiples of `scale` ms."""
    ms = {"1": [scale * ms for ms in range(1, 101)], "8": [8 * scale] * 10}
    return {
        **case.as_json(),
        "files": {"decoder": f"decoder.{case.graph}.onnx"},
        "cold": {"import_ms": 100 * scale, "session_ms": 10 * scale, "first_ms": 1 * scale},
        "calls": {
            rows: {"ms": times, "wall_ms": sum(times), "cpu_ms": 2 * sum(times)}
            for rows, times in ms.items()
        },
        "peak_rss_mib": 50 * scale,
        "steady_rss_mib": 40 * scale,
        **facts,
    }
