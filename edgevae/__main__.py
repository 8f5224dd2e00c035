"""`python -m edgevae` is the command `edgevae`."""

import sys

from edgevae.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
