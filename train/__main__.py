"""Train a VAE, export it to a bundle, evaluate a bundle, or repeat a published experiment.

`python -m train --data PATH` is short for `python -m train folder --data PATH`.
"""

import argparse
import importlib
import sys
from types import ModuleType

from edgevae.errors import EdgeVAEError, InputError

# The module of each command, with `add_arguments(parser, name)`, and its line of help.
COMMANDS = {
    "fashion": ("train.commands.train", "train on Fashion-MNIST"),
    "fashion2d": ("train.commands.train", "train on Fashion-MNIST with a latent of two dimensions"),
    "names": ("train.commands.train", "train on surnames, which are text"),
    "folder": ("train.commands.train", "train on the data at --data"),
    "export": ("train.commands.export", "write the bundle of a checkpoint or of a PyTorch module"),
    "evaluate": ("train.commands.evaluate", "report on a bundle's likelihood, samples and latents"),
    "prior": ("train.commands.prior", "fit the mixture that generation draws from, for a bundle"),
    "denoise": ("train.commands.denoise", "add a table for `edgevae denoise` to a bundle"),
    "benchmark": ("train.commands.benchmark", "compare log-likelihoods with published ones"),
    "anomalies": ("train.commands.anomalies", "compare anomaly scores with published ones"),
}


def main(argv: list[str] | None = None) -> None:
    """Run the command that `argv` names; where it begins with an option, that is `folder`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help"):
        arguments.insert(0, "folder")
    options = parser(arguments).parse_args(arguments)
    options.arguments = arguments
    options.run(options)


def parser(arguments: list[str]) -> argparse.ArgumentParser:
    """Return the parser of `arguments`: only the command that they name has its options.

    So that PyTorch is imported for the commands that need it, and not for `--help`.
    """
    top = argparse.ArgumentParser(
        prog="python -m train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in arguments[:1]:
            import_command(module).add_arguments(command, name)
    return top


def import_command(module: str) -> ModuleType:
    """Import the module of a command. Raises `InputError` if a package that it needs is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("edgevae", "train"):
            raise
        raise InputError(
            f"training needs {error.name}, which is not installed: pip install -e '.[train]' in "
            "the checkout"
        ) from error


if __name__ == "__main__":
    try:
        main()
    except (EdgeVAEError, FileNotFoundError, FloatingPointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as shells report a process that Ctrl-C ended
