from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from bench.rivals.contenders import BATCHING, MLSERVER, QUICKSTART, ROOT, Contender, check, eager
from bench.rivals.terms import Terms

EXPECTED = [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]


def test_terms_travel_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = Terms(Path("networks/general"), "openvino", "bf16", workers=3, batch=4, wait_ms=1, port=8000)
    for name, value in terms.environment().items():
        monkeypatch.setenv(name, value)
    assert Terms.from_environment() == terms


def test_a_quickstart_has_one_worker_and_no_batching() -> None:
    terms = eager(Terms(Path("networks/general"), "openvino", workers=2, batch=8))
    assert (terms.runtime, terms.workers, terms.batch) == ("eager", 1, 1)


@pytest.mark.parametrize("contender", [*BATCHING[1:], *QUICKSTART], ids=lambda each: f"{each.name}-{each.command[-1]}")
def test_every_rival_has_a_file_that_names_the_documentation_it_follows(contender: Contender) -> None:
    module = next(found[1] for word in contender.command if (found := re.match(r"bench\.rivals\.(\w+)", word)))
    text = (ROOT / f"bench/rivals/{module}.py").read_text()
    assert "https://" in text.split('"""')[1]
    assert contender.packages


def test_an_image_arrives_in_every_wrapping() -> None:
    for contender in (*BATCHING, *QUICKSTART):
        body = contender.wrap(b"image")
        assert body == b"image" or base64.b64encode(b"image") in body
        assert body == b"image" or (contender.content_type == "application/json" and json.loads(body))


def test_answers_are_read_out_of_the_inference_protocol() -> None:
    assert MLSERVER.read({"outputs": [{"data": [json.dumps(EXPECTED)]}]}) == EXPECTED


def test_a_wrong_answer_is_not_timed() -> None:
    check("a", EXPECTED, EXPECTED, 1e-3)
    check("a", [{"label": "dog", "score": 0.51}, {"label": "cat", "score": 0.89}], EXPECTED, 0.05)
    with pytest.raises(ValueError, match=r"a gives cat 0\.8900 instead of 0\.9000"):
        check("a", [{"label": "cat", "score": 0.89}], EXPECTED, 1e-3)
    with pytest.raises(ValueError, match="nothing is timed"):
        check("a", [{"label": "dog", "score": 0.9}], EXPECTED, 0.05)
