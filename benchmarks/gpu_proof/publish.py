"""Put proofs into docs/gpu-proof/ and their outcomes into the table of docs/gpu.md.

python -m benchmarks.gpu_proof.publish reports/gpu-proof/nvidia-h100-80gb-hbm3.json
python -m benchmarks.gpu_proof.publish        # the table alone, from what is in docs/gpu-proof/
"""

import argparse
import sys
from pathlib import Path

from benchmarks.gpu_proof.record import Proof, replace_text
from benchmarks.gpu_proof.report import proofs_table, to_markdown

PAGE = Path("docs/gpu.md")
PUBLISHED = Path("docs/gpu-proof")
BEGIN, END = "<!-- proofs: python -m benchmarks.gpu_proof.publish -->", "<!-- /proofs -->"


def publish(results: list[Path], page: Path = PAGE, folder: Path = PUBLISHED) -> None:
    """Copy results into ``folder`` and write the table of ``page`` anew.

    Raises:
        ValueError: a result is a rehearsal or of no GPU, or the page has no place for the table. Nothing is written.
    """
    proofs = [Proof.read(path) for path in results]
    for path, proof in zip(results, proofs, strict=True):
        if proof.machine.rehearsal or not proof.machine.gpu:
            raise ValueError(f"{path}: {proof.machine.reason or 'a rehearsal'}; only what ran on a GPU is published")
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page}: {BEGIN} and {END} must stand there once each")
    for proof in proofs:
        target = folder / f"{proof.machine.file_stem}.json"
        proof.write(target)
        replace_text(target.with_suffix(".md"), to_markdown(proof))
    replace_text(page, with_table(text, folder))


def with_table(page: str, folder: Path = PUBLISHED) -> str:
    """The text of a page with the table of the proofs in ``folder``."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    found = [(f"{folder.name}/{path.stem}.md", Proof.read(path)) for path in sorted(folder.glob("*.json"))]
    return f"{before}{BEGIN}\n\n{proofs_table(found)}\n\n{END}{after}"


def main() -> None:
    """Publish what is named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_proof.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, nargs="*", help="json files of proofs")
    try:
        publish(parser.parse_args().results)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
