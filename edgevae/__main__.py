"""Run the command `edgevae` by `python -m edgevae`."""

import sys

from edgevae.cli import main

if __name__ == "__main__":
    sys.exit(main())
