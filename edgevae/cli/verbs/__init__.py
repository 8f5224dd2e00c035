"""The verbs of the command line, in the order of its help."""

from edgevae.cli.verb import Verb
from edgevae.cli.verbs.bench import BENCH
from edgevae.cli.verbs.calibrate import CALIBRATE
from edgevae.cli.verbs.compile import COMPILE
from edgevae.cli.verbs.decode import DECODE
from edgevae.cli.verbs.doctor import DOCTOR
from edgevae.cli.verbs.encode import ENCODE
from edgevae.cli.verbs.generate import GENERATE
from edgevae.cli.verbs.info import INFO
from edgevae.cli.verbs.interpolate import INTERPOLATE
from edgevae.cli.verbs.map import MAP
from edgevae.cli.verbs.reconstruct import DENOISE, RECONSTRUCT
from edgevae.cli.verbs.score import SCORE
from edgevae.cli.verbs.traverse import TRAVERSE
from edgevae.cli.verbs.tune import TUNE
from edgevae.cli.verbs.vary import VARY
from edgevae.cli.verbs.verify import VERIFY

__all__ = ["VERBS"]

VERBS: tuple[Verb, ...] = (
    GENERATE,
    ENCODE,
    DECODE,
    RECONSTRUCT,
    DENOISE,
    INTERPOLATE,
    VARY,
    TRAVERSE,
    MAP,
    SCORE,
    CALIBRATE,
    INFO,
    DOCTOR,
    VERIFY,
    BENCH,
    TUNE,
    COMPILE,
)
