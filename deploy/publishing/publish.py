"""Upload a model to the Hugging Face Hub: its artefacts, and its card as README.md.

python -m deploy.publish crosskd --repo owner/name        # says what would go there
python -m deploy.publish crosskd --repo owner/name --yes  # sends it
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.publishing.hub import MAIN, Destination, endpoint, send
from deploy.publishing.uploads import Upload, uploads_of
from deploy.runtime.arguments import Parser
from deploy.runtime.artefact import PRECISIONS
from deploy.runtime.printable import in_one_line
from pipeline.cli import stage_main
from pipeline.code_version import code_version

_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_LONGEST_REPOSITORY = 96
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_LOCK = Path("dvc.lock")


def listing(destination: Destination, uploads: Sequence[Upload], address: str) -> str:
    """What goes where: a line for each file with its size in bytes and its SHA-256."""
    width = max(len(each.name) for each in uploads)
    sizes = [f"{len(each.content):,}" for each in uploads]
    lines = [
        f"  {each.name:{width}}  {size:>{max(map(len, sizes))}} bytes  sha256 {each.sha256}  "
        f"({in_one_line(each.path.as_posix())})"
        for each, size in zip(uploads, sizes, strict=True)
    ]
    visibility = ", private" if destination.private else ""
    head = f"model {destination.repository}, branch {destination.branch}{visibility}, at {address}:"
    return "\n".join([head, *lines]) + "\n"


def origin() -> str:
    """Where the files come from, for the commit: the code's commit and the hash of ``dvc.lock``, where they are known.

    ``dvc.lock`` has the hash of everything that they were made from, and every setting.
    """
    lock = hashlib.sha256(_LOCK.read_bytes()).hexdigest() if _LOCK.is_file() else None
    known = [("code", code_version()), ("dvc.lock, SHA-256", lock)]
    return "\n".join(f"{what}: {which}" for what, which in known if which)


def _repository(text: str) -> str:
    if not _REPOSITORY.fullmatch(text) or len(text) > _LONGEST_REPOSITORY or ".." in text or "--" in text:
        raise argparse.ArgumentTypeError(f"{text} is no repository of the Hub; write it as owner/name")
    return text


def _branch(text: str) -> str:
    if not _BRANCH.fullmatch(text) or ".." in text:
        raise argparse.ArgumentTypeError(f"{text} is no name of a branch")
    return text


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m deploy.publish",
        description="Upload a model to the Hugging Face Hub: its artefacts, and its card as README.md. Without --yes "
        "it says what would go there, and no connection is made.",
        epilog="The token comes from HF_TOKEN or from `hf auth login`, the Hub's address from HF_ENDPOINT.",
    )
    parser.add_argument("model", metavar="MODEL", help="a student of params.yaml, e.g. crosskd")
    parser.add_argument("--repo", type=_repository, required=True, metavar="OWNER/NAME", help="repository of the Hub")
    precisions = f"artefacts to upload, of {', '.join(PRECISIONS)} (the one that the card recommends, and fp32)"
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, metavar="PRECISION", help=precisions)
    private = "make the repository private where there is none yet; one that is public is refused"
    parser.add_argument("--private", action="store_true", help=private)
    parser.add_argument("--revision", type=_branch, default=MAIN, help="branch, made where there is none (%(default)s)")
    parser.add_argument("--message", help="of the commit (Add MODEL)")
    parser.add_argument("--yes", action="store_true", help="upload")
    return parser.parse_args(argv)


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """See ``python -m deploy.publish --help``."""
    options = _parse(argv)
    destination = Destination(options.repo, options.revision, options.private)
    uploads = uploads_of(options.model, options.precision)
    sys.stdout.write(listing(destination, uploads, endpoint()))
    if not options.yes:
        sys.stdout.write("Nothing was sent: --yes uploads it.\n")
        return
    sys.stdout.flush()
    commit = send(destination, uploads, options.message or f"Add {options.model}", origin())
    sys.stdout.write(f"uploaded: {in_one_line(commit)}\n")


if __name__ == "__main__":
    main()
