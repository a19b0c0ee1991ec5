"""Kaggle's official client, with one line for each of its failures. Credentials follow the client's own rules."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from podium.errors import PodiumError

_SITE = "https://www.kaggle.com"


def connect() -> Any:
    """Return the authenticated client; raises PodiumError when there are no credentials that it accepts."""
    # Importing the package logs in already, and what it prints on failure runs over many lines.
    with contextlib.redirect_stdout(io.StringIO()), explained("", "log in"):
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
        except ImportError:
            raise PodiumError("the Kaggle client is not installed; run `pip install kaggle`") from None
        api = KaggleApi()
        try:
            api.authenticate()
        except SystemExit:
            raise PodiumError(
                "no Kaggle credentials that are valid: set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, or put"
                f" kaggle.json into ~/.kaggle (make one at {_SITE}/settings, under API)"
            ) from None
    return api


@contextlib.contextmanager
def explained(slug: str, doing: str) -> Iterator[None]:
    """Turn the client's exceptions into one PodiumError line: what went wrong with `slug`, and what to do next."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        raise PodiumError(f"Kaggle could not {doing} ({_status(code, error)}): {_advice(code, slug)}") from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
        raise PodiumError(
            f"the connection to Kaggle broke, could not {doing}; check the network and run again:"
            " a download goes on where it stopped"
        ) from None


def _status(code: int, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return reason if str(code) in reason else f"{code}: {reason}"


def _advice(code: int, slug: str) -> str:
    known = {
        401: f"the credentials are not valid any more; make new ones at {_SITE}/settings, under API",
        403: f"join the competition and accept its rules at {_SITE}/c/{slug}/rules, then run again",
        404: f"there is no competition {slug!r}; its name is the last part of its address, {_SITE}/c/NAME",
        429: "too many requests for now; wait a while and run again",
    }
    return known.get(code, "the trouble is on Kaggle's side; run again later")
