"""The OpenAPI document is complete and true: requests made from it get only answers that it names."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mingmu.serve import schemas
from tests.real.conftest import Process

pytestmark = pytest.mark.real

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


MODELS = {model.__name__: model for model in schemas.MODELS}
EXISTS = {"name": "tiny", "version": "1"}
ENDLESS = [operation for operation in schemas.ROUTES if operation[1].endswith("/events")]  # as long as its job lasts


@pytest.mark.parametrize("operation", [operation for operation in schemas.ROUTES if operation not in ENDLESS], ids=" ".join)
def test_answers_are_as_described(server: Process, operation: tuple[str, str]) -> None:
    method, path = operation
    described = schemathesis.openapi.from_url(f"{server.url}/openapi.json")[path][method]

    @hypothesis.settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=[*hypothesis.HealthCheck])
    @hypothesis.given(described.as_strategy(), strategies.booleans())
    def ask(case: Any, exists: bool) -> None:
        if exists and method != "DELETE":
            case.path_parameters.update({key: EXISTS[key] for key in case.path_parameters.keys() & EXISTS})
        response = case.call_and_validate(checks=CHECKS)
        assert response.status_code != 500

    ask()


def test_every_route_says_what_it_is_for(server: Process) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == len(schemas.ROUTES)
    for operation in operations:
        assert operation["summary"]
        assert operation["tags"]
        assert operation["responses"].keys() & {"200", "202"}


def test_every_route_shows_an_answer_that_fits_its_schema() -> None:
    document = schemas.document(dict.fromkeys(schemas.ROUTES, ""))
    for method, path in schemas.ROUTES:
        responses = document["paths"][path][method.lower()]["responses"]
        described = (responses.get("200") or responses["202"])["content"]
        media_type, content = next(iter(described.items()))
        shown = [content["example"]] if "example" in content else [each["value"] for each in content["examples"].values()]
        assert all(shown), (method, path, media_type)
        if "$ref" in content["schema"]:
            for example in shown:
                MODELS[content["schema"]["$ref"].rpartition("/")[2]].model_validate(example)


def test_answers_are_told_apart_by_their_type() -> None:
    answers = schemas.document({})["components"]["schemas"]["RecognitionSchema"]["properties"]["answers"]["items"]
    assert answers["discriminator"]["propertyName"] == "type"
    assert {each["$ref"] for each in answers["oneOf"]} == {*answers["discriminator"]["mapping"].values()}
    assert answers["discriminator"]["mapping"].keys() == {"labels", "boxes", "texts", "plates", "error"}


def test_the_examples_are_real(server: Process) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    recognize = document["paths"]["/v1/recognizers/{name}/recognize"]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = httpx.post(f"{server.url}/v1/recognizers/tiny/recognize", json=recognize).json()
    assert answer["answers"][0]["labels"][0]["label"] == "red"
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert base64.b64decode(infer["inputs"][0]["data"][0]).startswith(b"\x89PNG")
    assert httpx.post(f"{server.url}/v2/models/tiny/infer", json=infer).json()["outputs"][1]["data"] == ["red"]
