"""Run the command `edgevae`, by that name or by `python -m edgevae`."""

import sys

from edgevae import interrupts


def main() -> int:
    """Run one command with the arguments of the process, and return its exit code."""
    return interrupts.run(_command)


def _command() -> int:
    from edgevae import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
