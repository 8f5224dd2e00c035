"""Files in and out: one reader of inputs and one writer of outputs for every verb."""

from edgevae.files import score_lines
from edgevae.files.array_files import read_labels
from edgevae.files.batches import Batch
from edgevae.files.destination import open_output
from edgevae.files.file_names import FileNames
from edgevae.files.folders import write_figure, write_folder
from edgevae.files.inputs import Inputs, read, read_latents, stream
from edgevae.files.outputs import PICTURES, Results, form_of, save, save_posteriors
from edgevae.files.sheets import layout, near_square, write_sheet
from edgevae.files.tables import MISSING, read_columns

__all__ = [
    "MISSING",
    "PICTURES",
    "Batch",
    "FileNames",
    "Inputs",
    "Results",
    "form_of",
    "layout",
    "near_square",
    "open_output",
    "read",
    "read_columns",
    "read_labels",
    "read_latents",
    "save",
    "save_posteriors",
    "score_lines",
    "stream",
    "write_figure",
    "write_folder",
    "write_sheet",
]
