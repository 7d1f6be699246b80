from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.core.errors import BadSettings
from mingmu.serve.http import create_app
from mingmu.serve.process import Server
from mingmu.serve.server import MOST_WORKERS, run, tls_context, usual_workers
from mingmu.settings import Settings
from tests.certificates import make_certificate


def test_a_certificate_and_its_key_are_read(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    assert tls_context(Settings(tls_certificate=certificate, tls_key=key)) is not None
    assert tls_context(Settings()) is None


def test_what_is_no_certificate_and_its_key_is_a_bad_setting(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path / "other")
    _, locked = make_certificate(tmp_path / "locked", password="secret")
    rubbish, missing = tmp_path / "rubbish.pem", tmp_path / "missing.pem"
    rubbish.write_text("rubbish")
    for given, problem in {
        (certificate, None): "only one is set",
        (None, key): "only one is set",
        (missing, key): "missing.pem cannot be read: No such file",
        (certificate, missing): "missing.pem cannot be read: No such file",
        (certificate, tmp_path): "cannot be read",
        (certificate, other): "mismatch",
        (rubbish, key): "PEM",
        (certificate, rubbish): "unencrypted key",
        (certificate, locked): "unencrypted key",
    }.items():
        with pytest.raises(BadSettings, match=problem) as caught:
            tls_context(Settings(tls_certificate=given[0], tls_key=given[1]))
        assert "tls_certificate" in str(caught.value)


def test_unless_told_otherwise_each_processor_gets_a_worker_up_to_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert [usual_workers(processors) for processors in (1, 2, 64)] == [1, 2, MOST_WORKERS]
    monkeypatch.setattr("sys.platform", "win32")
    assert usual_workers(64) == 1


def test_the_requests_that_come_most_often_go_past_the_framework(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    app = create_app(settings)
    assert Server(app, settings).config.app is app.state.express


def test_several_workers_are_refused_on_windows(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(BadSettings, match="workers is 2; on Windows"):
        run(Settings(data_dir=data_dir, workers=2))
