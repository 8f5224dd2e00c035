"""The int8 variant of a graph: calibration ranges, equalisation and quantisation."""
