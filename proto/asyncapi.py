"""Owns docs/asyncapi.json: what travels on Kafka, told in AsyncAPI 3, made from the events.proto of every service.

`python proto/asyncapi.py` writes the document, `--check` writes nothing and fails when it is other than the proto
files say. A message is an event when no other message of its file contains it: the others are the states events carry.
Fields are described as JSON Schema, with their protobuf number and type beside; the wire holds protobuf.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "proto"
TARGET = PROJECT / "docs" / "asyncapi.json"

_F = FieldDescriptorProto
_SCALARS: dict[int, dict[str, str]] = {
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_INT32: {"type": "integer", "format": "int32"},
    _F.TYPE_INT64: {"type": "integer", "format": "int64"},
    _F.TYPE_UINT32: {"type": "integer", "format": "uint32"},
    _F.TYPE_UINT64: {"type": "integer", "format": "uint64"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_BYTES: {"type": "string", "format": "byte"},
}
_WELL_KNOWN = {".google.protobuf.Timestamp": {"type": "string", "format": "date-time"}}
_HEADERS: dict[str, dict[str, str]] = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "format": "uuid", "description": "UUIDv7 of the event; a repeated one is a duplicate."},
    "ce_source": {"type": "string", "description": "/xaso/ and the service that publishes."},
    "ce_type": {"type": "string", "description": "Full name of the protobuf message in the value."},
    "ce_subject": {"type": "string", "description": "Id of the aggregate the event is about."},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
    "ce_sequence": {"type": "string", "description": "Counts the events of the subject from 1, without gaps."},
    "ce_unit": {"type": "string", "description": "Code of the administrative unit it happened in."},
    "traceparent": {"type": "string", "description": "W3C trace context of what caused it."},
    "content-type": {"type": "string", "const": "application/protobuf"},
}


def read() -> list[FileDescriptorProto]:
    """The descriptors of all events.proto files and of what they import, with their comments."""
    protos = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.glob("xaso/*/v*/events.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "events.binpb"
        arguments = ["protoc", f"--proto_path={SOURCES}", f"--proto_path={files('grpc_tools') / '_proto'}"]
        arguments += ["--include_source_info", "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main([*arguments, *protos]) != 0:
            raise SystemExit("protoc refused the proto files; its words are above")
        return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Comments by the path of what they stand above; see google/protobuf/descriptor.proto, SourceCodeInfo."""
    return {
        tuple(place.path): " ".join(place.leading_comments.split())
        for place in file.source_code_info.location
        if place.leading_comments
    }


def _described(schema: dict[str, Any], comment: str | None) -> dict[str, Any]:
    return {"description": comment, **schema} if comment else schema


def _field(field: FieldDescriptorProto, comment: str | None, maps: dict[str, DescriptorProto]) -> dict[str, Any]:
    if field.type_name in maps:
        value = maps[field.type_name].field[1]
        schema: dict[str, Any] = {"type": "object", "additionalProperties": _field(value, None, {})}
    else:
        if field.type == _F.TYPE_MESSAGE:
            schema = dict(
                _WELL_KNOWN.get(field.type_name) or {"$ref": f"#/components/schemas/{field.type_name.lstrip('.')}"}
            )
        else:
            schema = dict(_SCALARS[field.type])
        if field.label == _F.LABEL_REPEATED:
            schema = {"type": "array", "items": schema}
    if "$ref" in schema:
        # A reference stands alone in JSON Schema draft 7, so what belongs to the field goes around it.
        schema = {"allOf": [schema]}
    return _described({**schema, "x-protobuf-number": field.number}, comment)


def _schema(message: DescriptorProto, at: int, package: str, comments: dict[tuple[int, ...], str]) -> dict[str, Any]:
    maps = {
        f".{package}.{message.name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry
    }
    fields = {
        field.name: _field(field, comments.get((4, at, 2, number)), maps) for number, field in enumerate(message.field)
    }
    return _described({"type": "object", "properties": fields}, comments.get((4, at)))


def _referred(schemas: dict[str, Any], read_files: Sequence[FileDescriptorProto]) -> dict[str, Any]:
    """The schemas of messages that others refer to and that stand in a file without events."""
    found: dict[str, Any] = {}
    while True:
        wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps({**schemas, **found})))
        missing = sorted(wanted - schemas.keys() - found.keys())
        if not missing:
            return found
        for file in read_files:
            comments = _comments(file)
            for at, message in enumerate(file.message_type):
                if f"{file.package}.{message.name}" in missing:
                    found[f"{file.package}.{message.name}"] = _schema(message, at, file.package, comments)
        if not found.keys() >= set(missing):
            raise SystemExit(f"nothing describes {', '.join(missing)}")


def _events(file: FileDescriptorProto) -> list[str]:
    contained = {field.type_name for message in file.message_type for field in message.field}
    return [m.name for m in file.message_type if f".{file.package}.{m.name}" not in contained]


def _message(file: FileDescriptorProto, name: str) -> dict[str, Any]:
    full = f"{file.package}.{name}"
    return {
        "name": full,
        "title": name,
        "contentType": "application/protobuf",
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/cloudevents.headers"},
                {"type": "object", "properties": {"ce_type": {"const": full}}},
            ]
        },
        "payload": {"$ref": f"#/components/schemas/{full}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "Code of the commune: its events stay in order."},
                "bindingVersion": "0.5.0",
            }
        },
    }


def document() -> dict[str, Any]:
    """The whole AsyncAPI document."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    required = [header for header in _HEADERS if header != "traceparent"]
    schemas: dict[str, Any] = {"cloudevents.headers": {"type": "object", "required": required, "properties": _HEADERS}}
    everything = read()
    for file in everything:
        if not file.name.endswith("/events.proto"):
            continue
        service, comments = file.package.split(".")[1], _comments(file)
        names = _events(file)
        for at, message in enumerate(file.message_type):
            schemas[f"{file.package}.{message.name}"] = _schema(message, at, file.package, comments)
        messages.update({f"{file.package}.{name}": _message(file, name) for name in names})
        channels[file.package] = {
            "address": file.package,
            # 12 is the field number of `syntax` in FileDescriptorProto, above which the file's own words stand;
            # 2 is that of `package`.
            "description": comments.get((2,)) or comments.get((12,)) or f"Events of {service}.",
            "messages": {name: {"$ref": f"#/components/messages/{file.package}.{name}"} for name in names},
        }
        operations[f"publish.{service}"] = {
            "action": "send",
            "summary": f"What {service} publishes; every other service may consume it.",
            "channel": {"$ref": f"#/channels/{file.package}"},
            "messages": [{"$ref": f"#/channels/{file.package}/messages/{name}"} for name in names],
        }
    schemas |= _referred(schemas, everything)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Xã Số: events",
            "version": "1",
            "description": (
                "CloudEvents 1.0 in Kafka's binary mode. Every event carries the whole public state of its aggregate "
                "after the change, so the last one holds. Delivered at least once: tell duplicates by ce_id, order by "
                "ce_sequence."
            ),
        },
        "defaultContentType": "application/protobuf",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def text() -> str:
    """The document as it stands in docs/asyncapi.json."""
    return json.dumps(document(), ensure_ascii=False, indent=2) + "\n"


def main() -> int:
    """Command line: no argument writes, `--check` compares and exits 1 on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when docs/asyncapi.json is stale")
    made = text()
    if not parser.parse_args().check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(made, encoding="utf-8")
        return 0
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != made:
        sys.stderr.write("docs/asyncapi.json is not what proto/ says: run `make gen`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
