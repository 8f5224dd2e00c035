"""Files in and out: inputs, outputs, tables and lines of scores."""
