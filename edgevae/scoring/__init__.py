"""Anomaly scores: how unlikely an item is under a VAE. The higher a score, the more anomalous.

    recon        -log p(x|z) at z = mu, in nats
    elbo         recon + KL(q(z|x) || N(0, I)), in nats
    iwae         -log mean_k p(x|z_k) p(z_k) / q(z_k|x), in nats
    mahalanobis  the distance of mu from the training items' mu, in standard deviations (*)
    default      log deviance + log mahalanobis, each standardised (*)
    nap          log deviance + the log of the squared distance of h(x) - h(x_hat) from the
                 training items', for a bundle with the encoder's activations h (*)
    (*) needs the bundle's statistics of the training items

The functions in `methods` state their formulas and sources. `fit` computes the statistics from the
items that the model was trained on. `Scorer.calibrate` turns scores into p-values by normal items
that the model was not trained on; `conformal` says when these hold.
"""

from edgevae.scoring.conformal import Calibration
from edgevae.scoring.conformal import read as read_calibration
from edgevae.scoring.methods import METHODS
from edgevae.scoring.scorer import DRAWS, Scorer, Scores, fit
from edgevae.scoring.statistics import STATISTICS_FILE, Statistics, Whitening
from edgevae.scoring.statistics import read as read_statistics

__all__ = [
    "DRAWS",
    "METHODS",
    "STATISTICS_FILE",
    "Calibration",
    "Scorer",
    "Scores",
    "Statistics",
    "Whitening",
    "fit",
    "read_calibration",
    "read_statistics",
]
