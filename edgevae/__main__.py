"""Run the command `edgevae` by `python -m edgevae`."""

import sys

from edgevae.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
