"""ONNX graphs: edits, constants, shapes, matched layers, and the CPU sessions that check them."""
