from __future__ import annotations

from typing import Any

import pytest

from mingmu.serve.rpc.protos import proto


def fields_of(message: Any) -> dict[str, tuple[object, ...]]:
    """What decides how a message, and those within it, are written."""
    found: dict[str, tuple[object, ...]] = {
        field.full_name: (field.number, field.type, field.is_repeated, getattr(field.message_type, "full_name", None))
        for field in message.fields
    }
    for nested in message.nested_types:
        found |= fields_of(nested)
    return found


def test_the_messages_are_those_of_tritons_own_client() -> None:
    published = pytest.importorskip("tritonclient.grpc.service_pb2", reason="tritonclient is not installed")
    for name, message in proto("inference").messages.items():
        assert fields_of(message.DESCRIPTOR) == fields_of(getattr(published, name).DESCRIPTOR)


def test_messages_of_all_kinds_survive_the_way_there_and_back() -> None:
    kind = proto("inference").messages["ModelInferRequest"]
    message = kind(model_name="tiny", raw_input_contents=[b"\xff"])
    message.parameters["a"].string_param = "b"
    message.inputs.add(name="pixels", shape=[1, 2]).contents.uint_contents.extend([1, 300])
    again = kind.FromString(message.SerializeToString())
    assert again == message
    assert again.parameters["a"].WhichOneof("parameter_choice") == "string_param"


def test_the_health_check_is_grpcs() -> None:
    health = proto("health")
    assert health.methods["Check"].path == "/grpc.health.v1.Health/Check"
    assert health.messages["HealthCheckResponse"](status="SERVING").SerializeToString() == b"\x08\x01"
