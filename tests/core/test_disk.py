from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from mingmu.core.disk import private_file


def test_a_private_file_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    (path := tmp_path / "family.json").write_text("before")
    path.chmod(0o644)
    with private_file(path) as file:
        file.write(b"after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_private_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    (path := tmp_path / "family.json").write_text("before")

    def write_half() -> None:
        with private_file(path) as file:
            file.write(b"half")
            raise ValueError("broke off")

    with pytest.raises(ValueError, match="broke off"):
        write_half()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("family.json", "before")]


@pytest.mark.skipif(os.name != "posix", reason="named pipes and links are those of POSIX")
def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (link := tmp_path / "link").symlink_to(tmp_path / "file")
    with private_file(link) as file:
        file.write(b"after")
    assert (link.is_symlink(), (tmp_path / "file").read_text()) == (True, "after")
    os.mkfifo(pipe := tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with private_file(pipe) as file:
        file.write(b"after")
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"after"], True)
