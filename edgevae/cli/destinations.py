"""Choose the default output of a verb, and check the form of an output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevae.cli.options import UsageError

if TYPE_CHECKING:
    from edgevae.bundle import Bundle
    from edgevae.files import Inputs


def out_like_inputs(paths: Sequence[str], inputs: "Inputs", stem: str) -> str:
    """Return the default of --out for results that take the form of the inputs."""
    if list(paths) == ["-"]:
        return "-"
    suffixes = {"image": ".png", "images": "/", "array": ".npy", "table": ".csv"}
    return "-" if inputs.form == "text" else stem + suffixes[inputs.form]


def form_of(out: str, bundle: "Bundle", *, scale: int | None = None, stream: str = "npy") -> str:
    """Return the form in which results go to `out`; `stream` is that of standard output.

    Raises UsageError if the name stands for no form, if the bundle's results cannot take that form,
    or if they are to be enlarged by `scale` although they are not pictures.
    """
    from edgevae.files import PICTURES

    form = form_named(out, "text" if bundle.data.is_text else stream)
    if bundle.data.is_text and form != "text":
        raise UsageError(f"--out {out}: bundle {bundle.name!r} returns lines: write .txt or -")
    if form == "text" and not bundle.data.is_text:
        raise UsageError(
            f"--out {out}: bundle {bundle.name!r} returns {bundle.kind}s, not lines of text; write "
            f".npy or .npz, .csv or .parquet"
        )
    if scale is not None and form not in PICTURES:
        raise UsageError(f"--scale is for pictures, and --out {out} is not one; leave --scale out")
    if not bundle.data.drawable and form in PICTURES:
        raise UsageError(
            f"--out {out}: bundle {bundle.name!r} returns {bundle.kind}s, which cannot be drawn; "
            f"write .npy or .npz, .csv or .parquet"
        )
    return form


def form_named(out: str, stream: str) -> str:
    """Return the form that the name `out` stands for. Raises UsageError if it stands for none."""
    from edgevae import files

    try:
        return files.form_of(out, stream)
    except ValueError as error:
        raise UsageError(f"--out: {error}") from error
