from __future__ import annotations

from pathlib import Path

from mingmu.core.machine import Machine, this_machine

CPUINFO = """processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu avx2 sse avx512_bf16

processor\t: 1
model name\t: AMD EPYC
flags\t\t: fpu avx2
"""


def test_a_machine_is_its_processor_and_the_instructions_that_networks_profit_from(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(CPUINFO)
    machine = this_machine(file)
    assert machine.processor == "AMD EPYC"
    assert machine.instructions == ("avx2", "avx512_bf16")
    assert str(machine) == f"AMD EPYC, {machine.cores} cores (avx2 avx512_bf16)"


def test_machines_that_differ_in_anything_have_different_keys() -> None:
    one = Machine("AMD EPYC", ("avx2",), 2)
    others = [Machine("AMD EPYC", ("avx2",), 4), Machine("AMD EPYC", (), 2), Machine("Xeon", ("avx2",), 2)]
    assert one.key == Machine("AMD EPYC", ("avx2",), 2).key
    assert len({machine.key for machine in (one, *others)}) == 4


def test_a_system_that_says_nothing_of_its_processor_still_has_a_machine(tmp_path: Path) -> None:
    assert this_machine(tmp_path / "none").cores >= 1
