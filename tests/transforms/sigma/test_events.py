"""The event as rules see it, from every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.sigma.events import SigmaEvent, sigma_event
from tests.events import CREATE, CREATE_DATA, SHAPES, Fact, Shape, facts, line, nxlog

SHAPED = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def seen(fact: Fact, shape: Shape) -> SigmaEvent:
    return sigma_event(parse_record(line(fact, shape)))


def read(record: dict[str, Any]) -> dict[str, Any]:
    return sigma_event(parse_record(json.dumps(record).encode())).fields


@SHAPED
def test_the_fields_of_every_shape_are_the_same(shape: Shape) -> None:
    found = seen(CREATE, shape)
    own = {"Computer": CREATE.host, "Channel": CREATE.channel, "Provider_Name": CREATE.provider, "EventID": 1}
    assert found.fields == {**CREATE_DATA, **own}
    assert (found.provider, found.channel, found.event_id) == (CREATE.provider, CREATE.channel, 1)


@SHAPED
@given(facts())
def test_no_event_fails(shape: Shape, fact: Fact) -> None:
    try:
        event = parse_record(line(fact, shape))
    except RecordError:
        return
    found = sigma_event(event)
    assert found.fields["EventID"] == found.event_id == event.event_id
    assert found.fields["Channel"] == found.channel


def test_nxlogs_other_name_for_the_event_type() -> None:
    record = nxlog(CREATE._replace(event_id=13, data={"TargetObject": "HKLM\\x", "EventTypeOrignal": "SetValue"}))
    assert read(record)["EventType"] == "SetValue"
    assert "EventTypeOrignal" not in read(record)


def test_a_lost_channel_is_known_by_its_provider() -> None:
    assert seen(CREATE._replace(channel=""), nxlog).channel == CREATE.channel
    assert seen(CREATE._replace(channel="", provider="Someone"), nxlog).channel is None


CLASSIC = Fact(400, {}, provider="PowerShell", channel="Windows PowerShell")
DETAILS = "Engine state is changed.\n\tHostApplication=powershell.exe -enc AAAA"


def test_unnamed_data_of_classic_events() -> None:
    for shape, message in (("wlb7", "message"), ("nxlog", "Message"), ("timecreated", "Message")):
        fields = read({**SHAPES[shape](CLASSIC), message: DETAILS})
        assert fields["Data"] == fields["Message"] == DETAILS
    numbered = CLASSIC._replace(data={"param1": "Available", "param2": "None", "param3": "HostApplication=x", "x": 1})
    assert read(SHAPES["wlb6"](numbered))["Data"] == ["Available", "None", "HostApplication=x"]
    for bare in (["Available", "x=1"], {"#text": ["Available", "x=1"]}):
        record = SHAPES["evtx"](CLASSIC)
        record["Event"]["EventData"] = {"Data": bare}
        assert read(record)["Data"] == ["Available", "x=1"]
    assert read({"_source": {**SHAPES["wlb7"](CLASSIC), "message": DETAILS}})["Data"] == DETAILS
    assert read({"message": json.dumps({**SHAPES["wlb6"](CLASSIC), "message": DETAILS})})["Data"] == DETAILS


def test_data_that_have_the_name_keep_it() -> None:
    fields = read({**SHAPES["wlb7"](CLASSIC._replace(data={"Data": "own", "param1": "x"})), "message": DETAILS})
    assert (fields["Data"], fields["Message"]) == ("own", DETAILS)


def test_user_data() -> None:
    fact = Fact(
        5858, {}, provider="Microsoft-Windows-WMI-Activity", channel="Microsoft-Windows-WMI-Activity/Operational"
    )
    user_data = {"Operation": "Start", "User": "LAB\\ada", "xml_name": "Operation_ClientFailure"}
    six, eight, file = (SHAPES[name](fact) for name in ("wlb6", "wlb8", "evtx"))
    six["user_data"] = eight["winlog"]["user_data"] = user_data
    file["Event"]["UserData"] = {"#attributes": {}, "Operation_ClientFailure": {"#attributes": {}, **user_data}}
    for record in (six, eight, file):
        fields = read(record)
        assert (fields["Operation"], fields["User"]) == ("Start", "LAB\\ada")
        assert "xml_name" not in fields
        assert "#attributes" not in fields
    cleared = SHAPES["wlb8"](Fact(1102, {}, provider="Microsoft-Windows-Eventlog", channel="Security"))
    cleared["winlog"]["user_data"] = {"SubjectUserName": "ada"}
    assert read(cleared)["SubjectUserName"] == "ada"


@pytest.mark.parametrize(
    ("level", "expected"),
    [("Error", 2), ("information", 4), (4, 4), ("3", 3), ("odd", None), (None, None), ("verbose", 5), ("Critical", 1)],
)
def test_levels(level: Any, expected: int | None) -> None:
    fact = Fact(1000, {"AppName": "a.exe"}, provider="Application Error", channel="Application")
    assert read({**SHAPES["wlb6"](fact), "level": level}).get("Level") == expected
    record = SHAPES["evtx"](fact)
    record["Event"]["System"]["Level"] = level
    assert read(record).get("Level") == expected


def test_events_with_named_data_are_not_read_twice() -> None:
    assert "Message" not in seen(CREATE, SHAPES["wlb7"]).fields
    application = CREATE._replace(channel="Application", provider="x")
    assert seen(application, SHAPES["wlb7"]).fields["Message"] == "Something happened"
