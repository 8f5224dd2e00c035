"""What anomaly scores need to know of the data: statistics of the training items, p-values."""

import math

import edgevae
from edgevae import bundle, score

from .data import Data, as_float

ALPHA = 0.01


def fit_scores(written: bundle.Bundle, data: Data) -> bundle.Bundle:
    """The bundle with statistics of the items it was trained on, calibrated by those held out.

    Of signals the held-out windows that do not overlap, as p-values want items that say nothing
    of each other. Fewer than 99, which no p-value of ALPHA can come from, do not calibrate.
    """
    vae = edgevae.load(written.path, "cpu")
    statistics = score.fit(vae, as_float(data.train).numpy())
    arrays = {score.FILE: statistics.arrays()}
    written = bundle.extend(written, written.path, arrays=arrays)
    held_out = as_float(data.test[:: apart(data)]).numpy()
    if (len(held_out) + 1) * ALPHA < 1:
        return written
    calibrated = edgevae.load(written.path, "cpu").calibrate(held_out, ALPHA)
    return calibrated.save(written.path)


def apart(data: Data) -> int:
    """How many windows on from one is the next that shares no step with it; 1 of other items."""
    return 1 if data.stride is None else math.ceil(data.x_shape[-1] / data.stride)
