"""What travels on Kafka is what docs/asyncapi.json says: made from proto/, valid AsyncAPI 3, and published for real."""

from __future__ import annotations

import importlib
import json
import re
import runpy
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from chassis.consumer import Consumers
from chassis.db import new_id
from chassis.relay import headers_of
from tests.contracts.services import NAMES, ROOT

PROTO = ROOT / "proto"
SCHEMA = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
BUF = ROOT / "node_modules" / ".bin" / "buf"
SUBSCRIBERS = ("identity",)
"""Services that consume nothing."""
THINGS_WITH_NAMES = {
    "xaso.identity.v1.Unit": "an administrative unit",
    "xaso.identity.v1.DigitalTeam": "a team as a body, not a person",
    "xaso.identity.v1.NamedShare": "what was shared out: households, area",
    "xaso.ecommerce.v1.Product": "a product",
    "xaso.media.v1.Loudspeaker": "where a device stands",
    "xaso.media.v1.Camera": "where a device stands",
}
PERSONAL = re.compile(
    r"phone|email|e_mail|zalo|citizen|identity_number|cccd|birth|gender|password|secret|"
    r"(first|last|full|given|family|user|display|person|reporter|resident|contact)_?name|address|"
    r"reporter|description|comment|latitude|longitude|^lat$|^lon$|photo"
)


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(PROTO / "asyncapi.py"))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(json.loads((ROOT / "docs" / "asyncapi.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


def test_the_document_is_what_the_proto_files_say(generator: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "asyncapi.json").read_text("utf-8") == generator["text"](), "run `make gen`"


def test_the_document_is_valid(document: dict[str, Any], validator: Any) -> None:
    assert [f"{e.json_path}: {e.message[:200]}" for e in validator.iter_errors(document)] == []
    damaged = {**document, "channels": {"one": {"adress": "misspelt"}}}
    assert list(validator.iter_errors(damaged)), "the schema found nothing wrong with a damaged document"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = 0
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        place: Any = document
        for step in reference.split("/"):
            place = place[step]
        found += 1
    assert found > 50


def test_each_topic_is_a_proto_package(document: dict[str, Any]) -> None:
    # What other systems publish to the platform has a topic of its own, which no service sends to.
    packages = {f"xaso.{name}.v1" for name in (*NAMES, "observations")}
    assert {channel["address"] for channel in document["channels"].values()} == packages
    assert set(document["channels"]) == packages


def test_headers_on_the_wire_are_those_of_the_document(document: dict[str, Any]) -> None:
    row = {
        "event_id": new_id(),
        "type": "xaso.petitions.v1.PetitionFiled",
        "subject": str(new_id()),
        "sequence": 1,
        "unit": "11074",
        "occurred_at": datetime.now(UTC),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    sent = {name: value.decode() for name, value in headers_of(row, "petitions")}
    schema = document["components"]["schemas"]["cloudevents.headers"]
    jsonschema.validate(sent, {**schema, "additionalProperties": False})
    assert set(sent) == set(schema["properties"])
    assert set(sent) - {"traceparent"} == set(schema["required"])


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_published_by_its_service(document: dict[str, Any], name: str) -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "services" / name).rglob("*.py")))
    for event in document["channels"][f"xaso.{name}.v1"]["messages"]:
        assert re.search(rf"\b{event}\b", source), f"{name} never publishes {event}"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SUBSCRIBERS])
def test_every_consumed_event_is_in_the_document(document: dict[str, Any], name: str) -> None:
    room = "stream.consumers" if name == "indicators" else "consumers"
    registry = importlib.import_module(f"services.{name}.{room}").on
    assert isinstance(registry, Consumers)
    assert registry.handlers
    assert set(registry.handlers) <= set(document["components"]["messages"])
    assert not any(kind.startswith(f"xaso.{name}.") for kind in registry.handlers), "a service does not consume itself"


def event_descriptors() -> list[Descriptor]:
    """Every message that stands in an events.proto, nested ones too."""
    found: list[Descriptor] = []
    for name in NAMES:
        module = importlib.import_module(f"xaso.{name}.v1.events_pb2")
        found += module.DESCRIPTOR.message_types_by_name.values()
    return found


def test_events_hold_nothing_personal() -> None:
    for message in event_descriptors():
        for field in message.fields:
            # A yes or no tells that there is an address, not which.
            if field.type != FieldDescriptor.TYPE_BOOL:
                assert not PERSONAL.search(field.name), f"{message.full_name}.{field.name}"
            if field.name == "name":
                assert message.full_name in THINGS_WITH_NAMES, f"{message.full_name}.name: whose name?"


def test_events_carry_state() -> None:
    """An event's own fields are the state of its aggregate, or what names it; an empty event says nothing."""
    for message in event_descriptors():
        assert message.fields, message.full_name
        assert message_factory.GetMessageClass(message)().ByteSize() == 0


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BUF), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_taking_a_field_away_is_found(tmp_path: Path) -> None:
    """The guard of `make lint` bites: it compares proto/ with main, here with a copy that lost a field."""
    changed = tmp_path / "proto"
    shutil.copytree(PROTO, changed, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    whole = tmp_path / "whole"
    shutil.copytree(changed, whole)
    assert buf("breaking", str(changed), "--against", str(whole)).returncode == 0
    events = changed / "xaso" / "petitions" / "v1" / "events.proto"
    events.write_text(events.read_text("utf-8").replace("  int32 rating = 12;\n", ""), "utf-8")
    refused = buf("breaking", str(changed), "--against", str(whole))
    assert refused.returncode != 0
    assert "rating" in refused.stdout + refused.stderr
