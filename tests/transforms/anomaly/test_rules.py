"""Rule files of anomalies: every kind, and messages that name the file, the rule and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from huntbeam.schemas.anomaly import Beacon, Deviation, FirstSeen, Method, Prevalence, Rare, Ratio, Severity, Threshold
from huntbeam.schemas.window import BUILT_IN
from huntbeam.transforms.anomaly.rules import LARGEST, AnomalyRuleError, load_rules

EVERY_KIND = """
kind: threshold
id: a
name: Many connects
severity: low
tags: [attack.discovery, attack.t1046]
text: Somebody looks around.
counter: network_destination
above: 1000
---
kind: deviation
id: b
name: Many ports
severity: high
counter: network_destination
measure: distinct.src_port
method: median_mad
factor: 6
min_history: 12
---
---
{kind: first_seen, id: c, name: A new program, severity: informational, counter: process_image}
---
{kind: rare, id: d, name: A rare program, severity: medium, counter: process_image, prevalence: windows, at_most: 3}
---
{kind: beacon, id: e, name: A beacon, severity: critical}
---
{kind: ratio, id: f, name: A ratio, severity: low, counter: network_destination, measure: count, by: distinct.src_port,
 above: 2, at_least: 9}
"""


def written(folder: Path, content: str | bytes, name: str = "rules.yml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_kind_of_rule(tmp_path: Path) -> None:
    rules = load_rules([written(tmp_path, EVERY_KIND)], BUILT_IN)
    assert rules == (
        Threshold(
            id="a",
            name="Many connects",
            severity=Severity.LOW,
            tags=("attack.discovery", "attack.t1046"),
            text="Somebody looks around.",
            counter="network_destination",
            measure="count",
            above=1000.0,
        ),
        Deviation(
            id="b",
            name="Many ports",
            severity=Severity.HIGH,
            counter="network_destination",
            measure="distinct.src_port",
            method=Method.MEDIAN_MAD,
            factor=6.0,
            windows=288,
            min_history=12,
            above=0.0,
        ),
        FirstSeen(id="c", name="A new program", severity=Severity.INFORMATIONAL, counter="process_image"),
        Rare(
            id="d",
            name="A rare program",
            severity=Severity.MEDIUM,
            counter="process_image",
            prevalence=Prevalence.WINDOWS,
            at_most=3,
        ),
        Beacon(id="e", name="A beacon", severity=Severity.CRITICAL, connects=12, variation=0.1),
        Ratio(
            id="f",
            name="A ratio",
            severity=Severity.LOW,
            counter="network_destination",
            measure="count",
            by="distinct.src_port",
            above=2.0,
            at_least=9,
        ),
    )


GOOD = "kind: threshold, id: a, name: n, severity: low, counter: process_image, above: 5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{" + GOOD.replace("5", "many") + "}", "rule 1: above: Expected `float`, got `str`"),
        ("{" + GOOD + "}\n---\n{kind: beacon, id: b, severity: low}", "rule 2: .*missing required field `name`"),
        ("{" + GOOD + ", abov: 6}", "rule 1: .*unknown field `abov`"),
        ("{" + GOOD.replace("threshold", "thresold") + "}", "rule 1: kind: Invalid value 'thresold'"),
        ("{" + GOOD.replace("low", "bad") + "}", "rule 1: severity: Invalid enum value 'bad'"),
        ("{" + GOOD + ", tags: [t1046]}", r"rule 1: tags\[0\]: Expected `str` matching regex"),
        ("{" + GOOD.replace("id: a", 'id: ""') + "}", "rule 1: id: Expected `str` of length >= 1"),
        (
            "{" + GOOD.replace("process_image", "nothing") + "}",
            "rule 1: counter: there is no counter nothing; there is",
        ),
        ("{" + GOOD + ", measure: distinct.dst_port}", "rule 1: measure: process_image has no .*; it has count"),
        (
            "{" + GOOD.replace("threshold", "ratio") + ", measure: count, by: sum.bytes}",
            "rule 1: by: process_image has no sum.bytes; it has count",
        ),
        ("{" + GOOD + ", measure: sum}", "rule 1: measure: Expected `str` matching regex"),
        ("[1, 2]", "rule 1: Expected `object`, got `array`"),
        ("a: [1", "is no YAML after rule 0: .*; mend it"),
        ("!!python/object/apply:os.system [ls]", "is no YAML after rule 0"),
        (b"\xff\xfe\xff", "is no YAML after rule 0"),
        ("[" * 50_000, "is nested too deeply after rule 0"),
        ("{" + GOOD + "}\n---\n{" + GOOD + "}", "rule 2: id: the rule 'n' has it, too"),
        (b"#" * (LARGEST + 1), "has more than 1,048,576 bytes"),
        (
            "{kind: deviation, id: a, name: n, severity: low, counter: process_image, method: mean_stddev, factor: 0,"
            " min_history: 3}",
            "rule 1: factor: Expected `float` > 0",
        ),
        (
            "{kind: deviation, id: a, name: n, severity: low, counter: process_image, method: mean_stddev, factor: 3,"
            " windows: 2, min_history: 3}",
            "rule 1: min_history: it is more than the 2 windows",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(AnomalyRuleError, match=message) as refused:
        load_rules([path], BUILT_IN)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_ids_are_one_rules_own_in_all_files(tmp_path: Path) -> None:
    paths = [written(tmp_path, "{" + GOOD + "}", name) for name in ("a.yml", "b.yml")]
    with pytest.raises(AnomalyRuleError, match=r"b\.yml: rule 1: id"):
        load_rules(paths, BUILT_IN)
    with pytest.raises(AnomalyRuleError, match="cannot be read"):
        load_rules([tmp_path / "missing.yml"], BUILT_IN)


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    assert load_rules([written(tmp_path, "---\n---\n")], BUILT_IN) == ()


def test_a_folder_is_read_with_its_folders_and_sigma_passed_over(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    written(tmp_path, "{kind: beacon, id: a, name: A, severity: low}\n---\ntitle: S\ndetection: {}\n", "a.yml")
    written(tmp_path / "b", "{kind: beacon, id: b, name: B, severity: low}", "b.YAML")
    written(tmp_path, "no rules", "c.txt")
    assert [rule.id for rule in load_rules([tmp_path], BUILT_IN)] == ["a", "b"]
    with pytest.raises(AnomalyRuleError, match="rule 2"):
        load_rules([tmp_path / "a.yml"], BUILT_IN)
    written(tmp_path, "{knd: beacon, id: c, name: C, severity: low}", "d.yml")
    with pytest.raises(AnomalyRuleError, match=r"d\.yml: rule 1"):
        load_rules([tmp_path], BUILT_IN)
