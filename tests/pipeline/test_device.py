"""What the machine says about itself: readings of known machines, and the same bytes twice."""

import os
import stat
from pathlib import Path

import pytest

from pipeline.device import describe_device, parse_cpu_info, parse_gpu_query

SAPPHIRE_RAPIDS = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8481C   CPU @ 2.70GHz
cpu MHz\t\t: 2699.998
flags\t\t: fpu sse4_2 avx f16c fma avx2 avx512f avx512bw avx_vnni avx512_bf16 avx512_vnni amx_bf16 amx_tile amx_int8
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another name
"""

GRAVITON = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd fphp asimdhp asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd40
"""


def test_intel_is_named_by_its_model_with_its_matrix_units() -> None:
    cpu = parse_cpu_info(SAPPHIRE_RAPIDS)
    assert cpu.name == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    assert {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "avx_vnni"} <= set(
        cpu.instruction_sets
    )
    assert cpu.instruction_sets == sorted(cpu.instruction_sets)
    assert "fpu" not in cpu.instruction_sets


def test_arm_is_named_by_its_codes_with_neon() -> None:
    cpu = parse_cpu_info(GRAVITON)
    assert cpu.name == "ARM implementer 0x41 part 0xd40"
    assert cpu.instruction_sets == ["bf16", "i8mm", "neon", "neon_dotprod", "neon_fp16", "sve"]


@pytest.mark.parametrize("text", ["", "garbage", "flags\n:::\n"])
def test_an_unreadable_cpu_info_gives_an_empty_description(text: str) -> None:
    assert parse_cpu_info(text) == ("", [])


def test_gpus_are_read_from_the_query() -> None:
    one = parse_gpu_query("NVIDIA H100 80GB HBM3, 81559, 550.54.15\n")
    assert one == ("NVIDIA H100 80GB HBM3", 81559 * 2**20, "550.54.15")
    two = parse_gpu_query("NVIDIA L4, 23034, 550.54.15\n" * 2)
    assert two is not None
    assert two.name == "2 x NVIDIA L4"
    shared = parse_gpu_query("NVIDIA GB10, [N/A], 580.65.06\n")
    assert shared == ("NVIDIA GB10", None, "580.65.06")


@pytest.mark.parametrize("text", ["", "No devices were found\n"])
def test_a_query_without_devices_is_no_gpu(text: str) -> None:
    assert parse_gpu_query(text) is None


def program(folder: Path, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_driver_s_tool_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo 'NVIDIA L4, 23034, 550.54.15'")
    monkeypatch.setenv("PATH", str(tmp_path))
    record = describe_device()
    assert (record.gpu, record.gpu_memory_bytes, record.driver) == ("NVIDIA L4", 23034 * 2**20, "550.54.15")


def test_a_broken_driver_is_said_and_counts_as_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program(tmp_path, "echo 'Failed to initialize NVML' >&2; exit 9")
    monkeypatch.setenv("PATH", str(tmp_path))
    record = describe_device()
    assert (record.gpu, record.gpu_memory_bytes, record.driver) == (None, None, None)
    assert "nvidia-smi is installed and fails" in caplog.text


def test_two_descriptions_are_the_same_bytes() -> None:
    assert describe_device().model_dump_json() == describe_device().model_dump_json()


def test_this_machine() -> None:
    record = describe_device()
    assert record.cpu
    assert 1 <= record.cores <= (os.cpu_count() or 1)
    assert record.memory_bytes % 2**28 == 0
    assert record.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < record.memory_bytes + 2**28
    assert record.libraries["torch"].split(".")[0].isdecimal()
    assert record.libraries["numpy"]
