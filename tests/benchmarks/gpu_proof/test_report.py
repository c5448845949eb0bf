"""Records and pages: nothing is lost on the way, failures stand first, and docs/gpu.md is what was committed."""

from pathlib import Path

import pytest

from benchmarks.gpu_proof import publish
from benchmarks.gpu_proof.parts import PARTS, TOTAL_LIMIT
from benchmarks.gpu_proof.record import CheckResult, Machine, PartResult, Proof
from benchmarks.gpu_proof.report import proofs_table, to_markdown


def proof(**machine: object) -> Proof:
    checks = [
        CheckResult("GFL: CrossKD", "passed", "", 1.25, {"worst loss, relative": 2e-6, "losses": 5}),
        CheckResult("GFL: CSKD", "failed", "a | b\nis <0.1>", 2.0, {"worst loss, relative": 0.5}),
        CheckResult("FCOS: PKD", "not run", "the part's time was over"),
    ]
    found = Machine(
        gpu="NVIDIA H100 80GB HBM3", facts={"driver": "580"}, versions={"torch": "2.11"}, unlocked={"torch": "2.14"}
    )
    for name, value in machine.items():
        setattr(found, name, value)
    parts = [PartResult("gradients", "Gradients", "", 30.0, 1, checks), PartResult("operators", "Operators", "no time")]
    return Proof(found, "2026-11-27T05:00:00+00:00", "abc123", 42.0, parts)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "proof.json"
    proof().write(path)
    assert Proof.read(path) == proof()
    assert [file.name for file in path.parent.iterdir()] == ["proof.json"]


def test_files_are_named_after_the_gpu() -> None:
    assert proof().machine.file_stem == "nvidia-h100-80gb-hbm3"
    assert Machine(rehearsal=True, gpu="NVIDIA H100").file_stem == "rehearsal"
    assert Machine(gpu="../../NVIDIA/A").file_stem == "nvidia-a"
    assert Machine().file_stem == "no-cuda-device"


def test_the_page_shows_outcomes_failures_numbers_and_versions() -> None:
    page = to_markdown(proof())
    assert "| Gradients | ran: 1 passed, 1 failed, 1 not run | 30 |" in page
    assert "| Operators | not run: no time | 0 |" in page
    assert page.index("## What failed (1)") < page.index("## Gradients")
    assert r"- **gradients: GFL: CSKD**: a \| b is &lt;0.1>" in page
    assert "| GFL: CrossKD | ✓ | 1.2 | 2e-06 | 5 |  |" in page
    assert "took its process down 1 time(s)" in page
    assert "torch 2.11 (locked: 2.14)" in page
    widths = {
        line.count("|") - line.count(r"\|")
        for line in page.split("## Gradients")[1].split("##")[0].splitlines()
        if line
    }
    assert widths == {0, 7}


def test_a_rehearsal_says_that_it_is_none_of_a_gpu() -> None:
    assert "Nothing below says anything about a GPU" in to_markdown(proof(rehearsal=True))


def test_the_table_has_a_line_a_part_and_a_column_a_proof() -> None:
    lines = proofs_table([("gpu-proof/a.md", proof())]).splitlines()
    assert lines[0] == "| part | [NVIDIA H100 80GB HBM3](gpu-proof/a.md), 2026-11-27 |"
    assert lines[2] == f"| {PARTS[0].title} | ran: 1 passed, 1 failed, 1 not run |"
    assert lines[-1].endswith("not run: it is newer than this proof |")
    assert len(lines) == 2 + len(PARTS)


def test_docs_hold_the_table_of_the_proofs_that_are_committed() -> None:
    page = publish.PAGE.read_text(encoding="utf-8")
    assert publish.with_table(page) == page, "run: python -m benchmarks.gpu_proof.publish"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "gpu.md"
    path.write_text(f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n")
    return path


def test_publishing_copies_a_proof_and_writes_the_table(tmp_path: Path, page: Path) -> None:
    proof().write(tmp_path / "x.json")
    publish.publish([tmp_path / "x.json"], page, tmp_path / "proofs")
    assert sorted(file.name for file in (tmp_path / "proofs").iterdir()) == [
        "nvidia-h100-80gb-hbm3.json",
        "nvidia-h100-80gb-hbm3.md",
    ]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "(proofs/nvidia-h100-80gb-hbm3.md)" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("machine", "said"),
    [({"rehearsal": True}, "a rehearsal"), ({"gpu": "", "reason": "no CUDA device"}, "no CUDA device")],
)
def test_only_what_ran_on_a_gpu_is_published(tmp_path: Path, page: Path, machine: dict[str, object], said: str) -> None:
    before = page.read_text()
    proof(**machine).write(tmp_path / "x.json")
    with pytest.raises(ValueError, match=said):
        publish.publish([tmp_path / "x.json"], page, tmp_path / "proofs")
    assert page.read_text() == before
    assert not (tmp_path / "proofs").exists()


def test_a_page_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="must stand there once each"):
        publish.publish([], page, tmp_path)


def test_the_parts_fit_into_ten_minutes_and_each_check_into_its_part() -> None:
    assert TOTAL_LIMIT <= 600
    assert all(part.check_limit <= part.limit for part in PARTS)
    assert len({part.name for part in PARTS}) == len(PARTS)
