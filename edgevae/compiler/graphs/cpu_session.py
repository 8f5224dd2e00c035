"""A graph on onnxruntime's CPU provider, which is what the compiler proves and measures."""

from typing import Any

from edgevae.engine import onnxruntime


def session(graph: bytes, *, threads: int = 0, exactly: bool = False) -> Any:
    """A session whose operators use so many threads, 0 for onnxruntime's own choice.

    With `exactly`, onnxruntime optimises nothing.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # whoever opens it tells what went wrong
    if exactly:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])
