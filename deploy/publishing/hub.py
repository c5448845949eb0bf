"""The way to the Hugging Face Hub, by its own library: one repository, one commit, and errors that name their cure."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deploy.publishing.uploads import Upload
from pipeline.errors import PublishError
from pipeline.transfers import is_secure

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB = "https://huggingface.co"
MAIN = "main"
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LOG_IN = "make one that may write at https://huggingface.co/settings/tokens; set HF_TOKEN, or run `hf auth login`"
_CURES = {
    400: "the Hub finds something wrong with the request or the card",
    401: f"the Hub does not know the token; {_LOG_IN}",
    403: f"the token may not write there; {_LOG_IN}, or choose a repository of yours",
    404: "no such repository or branch, or the token may not see it",
    409: "it is there already, or another change is on its way; try again",
    412: "somebody else has changed the branch meanwhile; try again",
    413: "too large for the Hub",
    429: "too many requests; try again later",
}


@dataclass(frozen=True)
class Destination:
    """A model repository ``owner/name``; ``private`` holds for one that is made, and is refused by a public one."""

    repository: str
    branch: str = MAIN
    private: bool = False


def endpoint() -> str:
    """The address of the Hub, from ``HF_ENDPOINT`` where it is set.

    Raises:
        PublishError: it is neither https nor plain http to this machine itself: a token would go over the wire.
    """
    address = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    try:
        parts = urlsplit(address)
        may_have_token = bool(parts.hostname) and is_secure(parts)
    except ValueError as error:
        raise PublishError(f"HF_ENDPOINT: not an address: {error}") from error
    if not may_have_token:
        raise PublishError(f"HF_ENDPOINT: {address!r} is refused: use https:// (http:// to this machine itself alone)")
    if parts.username or parts.password:
        raise PublishError("HF_ENDPOINT: no names and passwords in an address; the token says who you are")
    return address


def send(destination: Destination, uploads: Sequence[Upload], message: str, description: str) -> str:
    """Make the repository and the branch where there are none, and add the files in one commit.

    Returns:
        The commit's address.

    Raises:
        PublishError: the library is not installed, there is no token, or the Hub refuses or cannot be reached.
    """
    address = endpoint()
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, constants
    except ImportError as error:
        raise PublishError(
            "huggingface_hub is not installed: pip install 'huggingface_hub>=2.4,<3' (the project's extra `publish`)"
        ) from error
    if "HF_HUB_DISABLE_XET" not in os.environ:
        # Plain LFS, which the tests hold to its word; HF_HUB_DISABLE_XET=0 takes the library's other way.
        constants.HF_HUB_DISABLE_XET = True
    token = _token()
    api = HfApi(endpoint=address, token=token, library_name="detector-distillation")
    with _told(destination, address, token):
        _prepare(api, destination)
        operations = [CommitOperationAdd(path_in_repo=each.name, path_or_fileobj=each.content) for each in uploads]
        commit = api.create_commit(
            destination.repository,
            operations,
            commit_message=message,
            commit_description=description,
            revision=destination.branch,
        )
    return str(commit.commit_url)


def _prepare(api: "HfApi", destination: Destination) -> None:
    repository = destination.repository
    api.create_repo(repository, private=destination.private or None, exist_ok=True)
    if destination.private and not api.model_info(repository).private:
        raise PublishError(
            f"{repository}: it is there already and public, and --private was asked for; make it private in its "
            "settings on the Hub, or choose another one"
        )
    if destination.branch != MAIN:
        api.create_branch(repository, branch=destination.branch, exist_ok=True)


def _token() -> str:
    from huggingface_hub import get_token

    try:
        token = get_token()
    except Exception as error:  # a login may have to be renewed, in which the library raises as it likes
        kind = type(error).__name__
        raise PublishError(f"the login to the Hub cannot be used ({kind}: {error}); {_LOG_IN}") from error
    if not token:
        raise PublishError(f"no token for the Hub; {_LOG_IN}")
    if not _TOKEN.fullmatch(token):
        raise PublishError("the token for the Hub holds characters that no token has; copy it again")
    return token


@contextmanager
def _told(destination: Destination, address: str, token: str) -> Iterator[None]:
    """Word what the library raises; whatever a server makes it say, the token is not in it."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    where = f"{destination.repository} at {address}"
    try:
        yield
    except PublishError:
        raise
    except OfflineModeIsEnabled as error:
        raise PublishError(f"{where}: HF_HUB_OFFLINE is set, and nothing is sent; unset it") from error
    except (HTTPError, ConnectionError, RuntimeError, ValueError) as error:
        # An upload that fails is wrapped by the library.
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        reason = _reason(cause, is_network=isinstance(cause, HTTPError | ConnectionError))
        raise PublishError(f"{where}: {reason}".replace(token, "***")) from None


def _reason(error: BaseException, is_network: bool) -> str:
    response: Any = getattr(error, "response", None)
    said = " ".join(str(getattr(error, "server_message", None) or error).split())
    if response is None:
        kind = type(error).__name__
        return f"the Hub cannot be reached, or breaks off ({kind}: {said}); try again" if is_network else said
    status = int(response.status_code)
    cure = _CURES.get(status, "the Hub has trouble of its own; try again later" if status >= 500 else "it refuses")
    return f"{cure} (HTTP {status}: {said})"
