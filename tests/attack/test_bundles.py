"""Bundles that were changed, with hashes computed anew, are refused or used: nothing else."""

import json
import subprocess
import sys
from pathlib import Path

from attacks import CASES

SCRIPT = Path(__file__).with_name("mutate_bundles.py")
_CASES = 500 * CASES
_CASES_OF_A_PROCESS = 1000
_SECONDS = 600  # for which a process may run


def test_changed_bundles_are_refused_or_used():
    counts: dict[str, int] = {}
    for first in range(0, _CASES, _CASES_OF_A_PROCESS):
        count = min(_CASES_OF_A_PROCESS, _CASES - first)
        command = [sys.executable, "-X", "faulthandler", str(SCRIPT)]
        ended = subprocess.run(
            [*command, "--first", str(first), "--count", str(count)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        for outcome, number in json.loads(ended.stdout.splitlines()[-1]).items():
            counts[outcome] = counts.get(outcome, 0) + number
    print(json.dumps(counts, indent=2, sort_keys=True))
    strange = [outcome for outcome in counts if not outcome.endswith((": used", ": refused"))]
    assert strange == [], ended.stderr[-3000:]
    assert sum(counts.values()) == _CASES
