"""Open graphs on onnxruntime's CPU provider, where the compiler checks and measures them."""

from typing import Any

from edgevae.engine import onnxruntime


def session(graph: bytes, *, threads: int = 0, exactly: bool = False) -> Any:
    """Return a session whose operators use `threads` threads, 0 for onnxruntime's own choice.

    With `exactly`, onnxruntime optimises nothing.
    """
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # callers report errors
    if exactly:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(graph, options, ["CPUExecutionProvider"])
