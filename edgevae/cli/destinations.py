"""Where results go by default, and in which form a bundle's results can go there."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from edgevae.cli.options import UsageError

if TYPE_CHECKING:
    from edgevae.bundle import Bundle
    from edgevae.files.inputs import Inputs

ARRAYS = ("npy", "npz")  # the forms of output that are not pictures


def default_out(stem: str, picture: str, bundle: "Bundle") -> str:
    """Return the default of --out: a picture for images, "-" for text, an array for others."""
    return bundle.data.default_output(stem, picture)


def out_like_inputs(paths: Sequence[str], inputs: "Inputs", stem: str) -> str:
    """Return the default of --out for results that take the form of the inputs."""
    if list(paths) == ["-"]:
        return "-"
    array = f"{stem}.npy"
    names = {"text": "-", "image": f"{stem}.png", "images": f"{stem}/", "array": array}
    return names.get(inputs.form, array)


def file_names(inputs: "Inputs") -> Iterable[str]:
    """Return a file name without a suffix for each item of the inputs."""
    from edgevae.files import outputs

    return outputs.index_names(0, inputs.rows) if inputs.form == "array" else map(str, inputs.ids)


def form_of(out: str, bundle: "Bundle", stream: str = "npy") -> str:
    """Return the form in which results go to `out`; `stream` is that of standard output.

    Raises UsageError if the name says nothing or the bundle's results cannot take that form.
    """
    form = form_named(out, "text" if bundle.text else stream)
    if (form == "text") != bool(bundle.text):
        fix = "lines: write .txt or -" if bundle.text else "no lines of text: name another form"
        raise UsageError(f"--out {out}: bundle {bundle.name!r} makes {fix}")
    if bundle.text:
        return form
    if not bundle.data.drawable and form not in ARRAYS:
        raise UsageError(
            f"--out {out}: bundle {bundle.name!r} makes {bundle.kind}s, which cannot be drawn; "
            f"write .npy or .npz"
        )
    return form


def form_named(out: str, stream: str) -> str:
    """Return the form that the name `out` asks for. Raises UsageError if it asks for none."""
    from edgevae.files import outputs

    try:
        return outputs.form_of(out, stream)
    except ValueError as error:
        raise UsageError(f"--out: {error}") from error
