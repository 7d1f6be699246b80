from __future__ import annotations

from pathlib import Path

from mingmu.serve.company import Company


def test_who_serves_by_itself_has_no_others_who_could_be_busy() -> None:
    company = Company()
    company.tell(busy=True)
    assert company.idle()


def test_workers_know_of_each_other_whether_they_are_busy(tmp_path: Path) -> None:
    one, other = (Company.joined(tmp_path, number, size=2) for number in (1, 2))
    one.tell(busy=True)
    assert one.idle()
    assert not other.idle()
    other.tell(busy=True)
    assert not one.idle()
    one.tell(busy=False)
    assert other.idle()


def test_a_worker_that_died_at_work_is_not_thought_busy_once_another_has_its_place(tmp_path: Path) -> None:
    one, dead = (Company.joined(tmp_path, number, size=2) for number in (1, 2))
    dead.tell(busy=True)
    assert not one.idle()
    Company.joined(tmp_path, 2, size=2)
    assert one.idle()
