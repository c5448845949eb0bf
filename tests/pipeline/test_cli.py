"""How a stage ends: one clear message for what a user can cure, a traceback for what is a bug."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from deploy.runtime.errors import ArtefactError, ImageError
from pipeline.cli import stage_main
from pipeline.errors import CheckpointError, GateError, PipelineError

PROGRAM = """
from pipeline.cli import stage_main
from pipeline.errors import GateError

@stage_main
def main(argv=None):
    raise GateError("mAP 12.5 is below gates.student_min_ap 30")

main()
"""


@pytest.mark.parametrize("kind", [PipelineError, CheckpointError, GateError, ArtefactError, ImageError])
def test_expected_errors_end_the_stage_with_their_message(kind: type[Exception]) -> None:
    @stage_main
    def main(argv: Sequence[str] | None = None) -> None:
        raise kind("weights.pth: no such file")

    with pytest.raises(SystemExit, match=r"error: weights\.pth: no such file"):
        main()


def test_a_bug_keeps_its_traceback() -> None:
    @stage_main
    def main(argv: Sequence[str] | None = None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_arguments_reach_the_stage_and_success_ends_normally() -> None:
    seen: list[Sequence[str] | None] = []

    @stage_main
    def main(argv: Sequence[str] | None = None) -> None:
        """Do the work."""
        seen.append(argv)

    main(["--student", "twin"])
    main()
    assert seen == [["--student", "twin"], None]
    assert main.__doc__ == "Do the work."


def test_the_process_exits_with_1_and_without_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: mAP 12.5 is below gates.student_min_ap 30" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stage_collects_garbage_and_leaves_out_what_it_has_imported() -> None:
    program = (
        "import gc, weakref, stages\n"
        "from pipeline.cli import stage_main\n"
        "assert not gc.isenabled()\n"
        "class Node: pass\n"
        "@stage_main\n"
        "def main(argv=None):\n"
        "    node = Node()\n"
        "    node.itself, gone = node, weakref.ref(node)\n"
        "    del node\n"
        "    gc.collect()\n"
        "    print(gc.isenabled(), gone() is None, gc.get_freeze_count() > 1000)\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True True True\n"


def test_third_parties_speak_only_of_problems() -> None:
    program = (
        "import logging\n"
        "from pipeline.cli import stage_main\n"
        "@stage_main\n"
        "def main(argv=None):\n"
        "    logging.getLogger('onnxscript').info('folded a constant')\n"
        "    logging.getLogger('onnxscript').warning('something is wrong')\n"
        "    logging.getLogger('pipeline.training').info('resuming')\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines() == ["something is wrong", "resuming"]
