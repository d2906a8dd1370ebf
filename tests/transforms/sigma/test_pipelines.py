"""Log sources and names mapped to Windows', and the user's own pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.events import SECURITY, SYSMON
from huntbeam.transforms.sigma.fields import fields_of
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.sources import SYSMON_CATEGORIES, WINDOWS_CATEGORIES
from huntbeam.transforms.sigma.user_pipelines import UserPipeline, read_pipelines
from tests.transforms.sigma.rules import PROCESS, event, hits, rule, ruleset, security, sysmon

POWERSHELL = "Microsoft-Windows-PowerShell/Operational"


@pytest.mark.parametrize("category", sorted(SYSMON_CATEGORIES))
def test_each_category_of_sysmon_meets_its_events_and_no_others(category: str) -> None:
    rules = ruleset(rule({"UtcTime|contains": "2026"}, {"product": "windows", "category": category}))
    found = {n for n in range(1, 300) if hits(rules, sysmon(n, UtcTime="2026"))}
    assert found == set(SYSMON_CATEGORIES[category].event_ids)
    assert hits(rules, event({"UtcTime": "2026"}, "Other", min(found))) == []


@pytest.mark.parametrize(
    ("category", "channel", "event_id"),
    [
        ("ps_module", POWERSHELL, 4103),
        ("ps_script", POWERSHELL, 4104),
        ("ps_script", "powershellcore/operational", 4104),
        ("ps_classic_start", "Windows PowerShell", 400),
        ("ps_classic_provider_start", "Windows PowerShell", 600),
        ("ps_classic_script", "Windows PowerShell", 800),
    ],
)
def test_each_category_of_powershell(category: str, channel: str, event_id: int) -> None:
    rules = ruleset(rule({"Computer": "WS-7"}, {"product": "windows", "category": category}))
    assert hits(rules, event({}, channel, event_id)) == [0]
    assert hits(rules, event({}, channel, event_id + 1)) == []
    assert hits(rules, event({}, SYSMON, event_id)) == []


def test_one_rule_meets_processes_of_sysmon_and_of_security() -> None:
    rules = ruleset(
        rule(
            {
                "Image|endswith": "\\cmd.exe",
                "ParentImage|endswith": "\\winword.exe",
                "IntegrityLevel": ["High", "S-1-16-12288"],
                "LogonId": "0x3e7",
                "ProcessId": 420,
                "ParentProcessId": "0x10",
            },
            PROCESS,
        )
    )
    ours = {"Image": "C:\\cmd.exe", "ParentImage": "C:\\WINWORD.EXE", "IntegrityLevel": "High"}
    assert hits(rules, sysmon(1, **ours, LogonId="0x3E7", ProcessId="420", ParentProcessId="0x10")) == [0]
    theirs = {"NewProcessName": "C:\\cmd.exe", "ParentProcessName": "C:\\WINWORD.EXE", "SubjectLogonId": "0x3E7"}
    both = {**theirs, "MandatoryLabel": "S-1-16-12288", "NewProcessId": "0x1a4", "ProcessId": "0x10"}
    assert hits(rules, security(4688, **both)) == [0]
    assert hits(rules, security(4688, **{**both, "NewProcessName": "cmd.com"})) == []
    assert hits(rules, security(4689, **both)) == []
    assert [v.source for v in rules.rules[0].variants] == ["Sysmon 1", "Security 4688"]


@pytest.mark.parametrize(
    ("category", "created", "modified"),
    [("registry_event", True, True), ("registry_set", False, True), ("registry_add", True, False)],
)
def test_registry_events_of_security(category: str, created: bool, modified: bool) -> None:
    rules = ruleset(rule({"TargetObject|endswith": "\\Run"}, {"product": "windows", "category": category}))
    for kind, expected in (("%%1904", created), ("%%1905", modified), ("%%1906", False)):
        found = hits(rules, security(4657, ObjectName="\\REGISTRY\\MACHINE\\RUN", OperationType=kind))
        assert found == ([0] if expected else [])


def test_references_between_fields_are_mapped_too() -> None:
    rules = ruleset(rule({"Image|fieldref": "ParentImage"}, PROCESS))
    assert hits(rules, security(4688, NewProcessName="C:\\A.exe", ParentProcessName="c:\\a.exe")) == [0]


def test_a_service_beside_a_category_chooses_one_source() -> None:
    rules = ruleset(*(rule({"Image": "a"}, {**PROCESS, "service": name}) for name in ("sysmon", "security", "system")))
    assert [[v.source for v in one.variants] for one in rules.rules] == [["Sysmon 1"], ["Security 4688"]]
    assert [error.error_class for error in rules.errors] == ["NoSource"]


def test_the_fields_of_every_category_are_known() -> None:
    for target in SYSMON_CATEGORIES.values():
        assert fields_of([fold(SYSMON)], target.event_ids)
    for target in WINDOWS_CATEGORIES.values():
        if target.service == "security":
            assert fields_of([fold(SECURITY)], target.event_ids)
    assert fields_of([fold(SECURITY)], [4624]) is None
    assert fields_of(None, None) is None


# The user's own -----------------------------------------------------------------------------------------------------

VARS = UserPipeline("vars.yml", "vars: {admins: [adm_*, 'root?', 7], suffix: .lab}")


def test_placeholders_take_the_users_values() -> None:
    rules = ruleset(rule({"User|expand": "%admins%", "Host|expand|endswith": "%suffix%"}), user=[VARS])
    assert rules.errors == ()
    for user, expected in (("ADM_1", True), ("root1", True), ("root", False), ("7", True), (7, True), ("8", False)):
        assert bool(hits(rules, event({"User": user, "Host": "ws.LAB"}))) is expected
    assert hits(rules, event({"User": "7", "Host": "ws.lab.example"})) == []


def test_a_placeholder_without_a_value_is_an_error() -> None:
    rules = ruleset(rule({"User|expand": "%guests%"}), rule({"User|re|expand": "^%guests%$"}), user=[VARS])
    assert {error.error_class for error in rules.errors} == {"Placeholder"}
    assert "%guests%" in rules.errors[0].reason
    assert rules.rules == ()


def test_names_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yml"
    path.write_text(
        """
        name: own names
        priority: 20
        transformations:
          - type: field_name_mapping
            mapping: {NewProcessName: process.executable, CommandLine: [CommandLine, cmd]}
        """,
        encoding="utf-8",
    )
    rules = ruleset(rule({"Image": "a.exe", "CommandLine|contains": "x"}, PROCESS), user=read_pipelines([path]))
    own = event({"process.executable": "A.exe", "cmd": "1x"}, SECURITY, 4688)
    assert hits(rules, own) == [0]
    assert hits(rules, sysmon(1, Image="a.exe", cmd="x")) == [0]


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "- a",
        "transformations: [{type: evil}]",
        "transformations: 7",
        "x: 1",
        "vars: {a: &a [*a]}\ntransformations: &b [*b]",
    ],
)
def test_what_is_no_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnusableError, match=r"bad\.yml is no pySigma pipeline"):
        ruleset(user=read_pipelines([path]))


def test_a_pipeline_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yml").write_bytes(b"\xff")
    for name, said in (("none.yml", "the file cannot be read: No such file"), ("binary.yml", "is no UTF-8")):
        with pytest.raises(UnusableError, match=f"{name}.*{said}"):
            read_pipelines([tmp_path / name])


def test_a_transformation_that_refuses_a_rule_is_told() -> None:
    text = """
        priority: 20
        transformations:
          - type: rule_failure
            message: not here
            rule_conditions: [{type: logsource, service: security}]
    """
    found = ruleset(rule({"Image": "a"}, PROCESS), user=[UserPipeline("u.yml", text)])
    assert [v.source for v in found.rules[0].variants] == ["Sysmon 1"]
    assert [(one.error_class, one.reason) for one in found.notes] == [("TransformationError", "not here")]
