"""The number of cases of the attacks."""

import os

# The environment variable EDGEVAE_ATTACK multiplies the cases of every attack in tests/attack.
CASES = int(os.environ.get("EDGEVAE_ATTACK", "1"))
