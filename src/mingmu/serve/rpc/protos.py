"""Reads the `.proto` files beside it as they are, so that no code is generated.

The messages live in a pool of their own: tritonclient and kserve bring messages of the same names, and protobuf allows
each name once in a pool. Read is what those files are written in: proto3 without imports, options and reserved fields.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COMMENT = re.compile(r"//[^\n]*")
TOKEN = re.compile(r'[\w."]+|[^\s\w."]')

Tokens = deque[str]


@dataclass(frozen=True, slots=True)
class Method:
    """One call of a service. As bytes on the wire, a stream of one message and a single message are the same."""

    path: str
    request: Any  # the class of its messages
    response: Any


@dataclass(frozen=True, slots=True)
class Proto:
    """What one file describes."""

    service: str
    methods: Mapping[str, Method]
    messages: Mapping[str, Any]  # their classes, by name


@cache
def proto(name: str) -> Proto:
    """The messages and the service of the file `name`.proto."""
    described = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", syntax="proto3")
    tokens = deque(TOKEN.findall(COMMENT.sub("", files(__package__).joinpath(described.name).read_text(encoding="utf-8"))))
    while tokens:
        _statement(described, tokens)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    file = pool.FindFileByName(described.name)
    messages = {name: message_factory.GetMessageClass(each) for name, each in file.message_types_by_name.items()}
    (service,) = file.services_by_name.values()
    methods = {
        method.name: Method(f"/{service.full_name}/{method.name}", messages[method.input_type.name], messages[method.output_type.name])
        for method in service.methods
    }
    return Proto(service.full_name, methods, messages)


def _statement(file: Any, tokens: Tokens) -> None:
    """A statement at the top of a file."""
    match tokens.popleft():
        case "syntax":
            _expect(tokens, "=", '"proto3"', ";")
        case "package":
            file.package = tokens.popleft()
            _expect(tokens, ";")
        case "message":
            _message(file.message_type.add(name=tokens.popleft()), tokens)
        case "service":
            _service(file.service.add(name=tokens.popleft()), tokens)
        case word:
            raise ValueError(f"{file.name}: {word!r} is not read")


def _message(message: Any, tokens: Tokens) -> None:
    _expect(tokens, "{")
    while (word := tokens.popleft()) != "}":
        match word:
            case "message":
                _message(message.nested_type.add(name=tokens.popleft()), tokens)
            case "enum":
                _enum(message.enum_type.add(name=tokens.popleft()), tokens)
            case "oneof":
                message.oneof_decl.add(name=tokens.popleft())
                _expect(tokens, "{")
                while (kind := tokens.popleft()) != "}":
                    _field(message, kind, tokens).oneof_index = len(message.oneof_decl) - 1
            case "map":
                _map(message, tokens)
            case "repeated":
                field = _field(message, tokens.popleft(), tokens)
                field.label = field.LABEL_REPEATED
            case kind:
                _field(message, kind, tokens)


def _field(message: Any, kind: str, tokens: Tokens) -> Any:
    """A field `kind name = number;`, its kind already read."""
    field = message.field.add(name=tokens.popleft())
    field.label = field.LABEL_OPTIONAL
    _expect(tokens, "=")
    field.number = int(tokens.popleft())
    _expect(tokens, ";")
    _set_kind(field, kind)
    return field


def _set_kind(field: Any, kind: str) -> None:
    """A scalar by its name; what is none is a message or an enum, which the pool looks for by its scope."""
    scalar = f"TYPE_{kind.upper()}"
    if hasattr(field, scalar):
        field.type = getattr(field, scalar)
    else:
        field.type_name = kind


def _map(message: Any, tokens: Tokens) -> None:
    """A field `map<key, value> name = number;`, which stands for repeated messages of a key and a value each."""
    _, key, _, value, _ = (tokens.popleft() for _ in range(5))
    entry = message.nested_type.add(name=f"{tokens[0].title().replace('_', '')}Entry")
    entry.options.map_entry = True
    for number, (name, kind) in enumerate({"key": key, "value": value}.items(), start=1):
        _set_kind(entry.field.add(name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL), kind)
    field = _field(message, entry.name, tokens)
    field.label = field.LABEL_REPEATED


def _enum(enum: Any, tokens: Tokens) -> None:
    _expect(tokens, "{")
    while (name := tokens.popleft()) != "}":
        _expect(tokens, "=")
        enum.value.add(name=name, number=int(tokens.popleft()))
        _expect(tokens, ";")


def _service(service: Any, tokens: Tokens) -> None:
    _expect(tokens, "{")
    while tokens.popleft() != "}":
        method = service.method.add(name=tokens.popleft())
        method.client_streaming, method.input_type = _argument(tokens)
        _expect(tokens, "returns")
        method.server_streaming, method.output_type = _argument(tokens)
        _expect(tokens, ";")


def _argument(tokens: Tokens) -> tuple[bool, str]:
    _expect(tokens, "(")
    streams = tokens[0] == "stream"
    if streams:
        tokens.popleft()
    kind = tokens.popleft()
    _expect(tokens, ")")
    return streams, kind


def _expect(tokens: Tokens, *expected: str) -> None:
    for word in expected:
        if (found := tokens.popleft()) != word:
            raise ValueError(f"{found!r} where {word!r} was expected")
