"""Download the files of public data sets, each once, into the user's cache folder."""

from pathlib import Path

from edgevae.errors import InputError


def fetch(address: str, known_hash: str, instead: str) -> Path:
    """Return the path of a downloaded file, "md5:..." or "sha256:..." being its hash.

    Raises `InputError` if it cannot be downloaded; `instead` says what the user may do then.
    """
    import pooch

    try:
        path: str = pooch.retrieve(
            address,
            known_hash=known_hash,
            fname=address.rpartition("/")[2],
            path=pooch.os_cache("edgevae"),
            progressbar=True,
        )
    except OSError as error:  # as of requests' exceptions
        raise InputError(f"cannot download {address}: {error}; {instead}") from error
    return Path(path)
