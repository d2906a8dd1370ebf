"""Correlations from Sigma rules: the specification's examples, and what is refused."""

from __future__ import annotations

import pytest
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule

from huntbeam.schemas.clock import DAY, HOUR, MINUTE, SECOND
from huntbeam.schemas.correlation import Bound, Correlation, CorrelationType, Operator, Reference
from huntbeam.transforms.correlation.known import DEEPEST
from huntbeam.transforms.correlation.rules import CorrelationRuleError, Names, correlation, fields_asked, references

IDS = {name: f"00000000-0000-4000-8000-00000000000{n}" for n, name in enumerate(("alpha", "beta", "gamma"), 1)}


def rule_document(name: str) -> str:
    return f"""
title: Rule {name}
id: {IDS[name]}
name: {name}
logsource: {{product: windows}}
detection: {{selection: {{EventID: 1}}, condition: selection}}
"""


def parsed(document: str, *, title: str = "Asked") -> SigmaCorrelationRule:
    """The correlation rule of a document among the three rules."""
    text = "\n---".join((f"title: {title}\n{document}", *map(rule_document, IDS)))
    rules = SigmaCollection.from_yaml(text)
    return next(r for r in rules.rules if isinstance(r, SigmaCorrelationRule) and r.title == title)


KNOWN = {called: Names(rule_id) for name, rule_id in IDS.items() for called in (name, rule_id)}
OWN_ID = "c0ffee00-0000-4000-8000-000000000000"


def asked(correlation_part: str, more: str = "") -> Correlation:
    return correlation(parsed(f"{more}\ncorrelation: {correlation_part}"), OWN_ID, KNOWN)


def test_every_setting_of_a_rule() -> None:
    document = """
      type: value_count
      rules: [alpha, 00000000-0000-4000-8000-000000000002]
      group-by: [ComputerName, who]
      timespan: 90m
      aliases: {who: {alpha: User, beta: TargetUserName}, where: {beta: Ip}}
      condition: {field: where, gte: 100}
      generate: true
    """
    assert asked(document, "level: high\ntags: [attack.credential-access, attack.t1110]") == Correlation(
        rule_id="c0ffee00-0000-4000-8000-000000000000",
        title="Asked",
        type=CorrelationType.VALUE_COUNT,
        references=(
            Reference(IDS["alpha"], {"who": "User"}),
            Reference(IDS["beta"], {"who": "TargetUserName", "where": "Ip"}),
        ),
        group_by=("ComputerName", "who"),
        timespan_ms=90 * MINUTE,
        bounds=(Bound(Operator.GTE, 100),),
        fields=("where",),
        generate=True,
        level="high",
        tags=("attack.credential-access", "attack.t1110"),
    )


@pytest.mark.parametrize(
    ("document", "kind", "timespan", "bounds"),
    [
        (
            "{type: event_count, rules: [alpha], group-by: [ComputerName], timespan: 1h, condition: {gte: 100}}",
            CorrelationType.EVENT_COUNT,
            HOUR,
            (Bound(Operator.GTE, 100),),
        ),
        (
            "{type: value_count, rules: [alpha], group-by: [ComputerName, WorkstationName], timespan: 1d,"
            " condition: {field: User, gte: 100}}",
            CorrelationType.VALUE_COUNT,
            DAY,
            (Bound(Operator.GTE, 100),),
        ),
        (
            "{type: temporal, rules: [alpha, beta, gamma], group-by: [ComputerName, User], timespan: 5m}",
            CorrelationType.TEMPORAL,
            5 * MINUTE,
            (Bound(Operator.GTE, 3),),
        ),
        (
            "{type: temporal_ordered, rules: [alpha, beta], group-by: [User], timespan: 1h}",
            CorrelationType.TEMPORAL_ORDERED,
            HOUR,
            (),
        ),
        (
            "{type: temporal, rules: [alpha, beta], timespan: 10s, condition: alpha and beta}",
            CorrelationType.TEMPORAL,
            10 * SECOND,
            (Bound(Operator.GTE, 2),),
        ),
        (
            "{type: temporal_ordered, timespan: 10s, condition: beta and alpha}",
            CorrelationType.TEMPORAL_ORDERED,
            10 * SECOND,
            (),
        ),
        (
            "{type: value_sum, rules: [alpha], group-by: [SourceIP, User], timespan: 1h,"
            " condition: {field: bytes_sent, gt: 1000000}}",
            CorrelationType.VALUE_SUM,
            HOUR,
            (Bound(Operator.GT, 1_000_000),),
        ),
        (
            "{type: value_avg, rules: [alpha], timespan: 24h, condition: {field: BytesOut, neq: 0.5}}",
            CorrelationType.VALUE_AVG,
            DAY,
            (Bound(Operator.NEQ, 0.5),),
        ),
        (
            "{type: value_median, rules: [alpha], timespan: 24h, condition: {field: BytesOut, lt: 5}}",
            CorrelationType.VALUE_MEDIAN,
            DAY,
            (Bound(Operator.LT, 5),),
        ),
    ],
)
def test_the_specifications_types(
    document: str, kind: CorrelationType, timespan: int, bounds: tuple[Bound, ...]
) -> None:
    found = asked(document)
    assert (found.type, found.timespan_ms, found.bounds) == (kind, timespan, bounds)
    assert found.generate is False


def test_a_percentile() -> None:
    document = (
        "{type: value_percentile, rules: [alpha], timespan: 15m, condition: {field: Latency, gte: 5, percentile: 95}}"
    )
    assert (asked(document).percentile, asked(document).fields) == (95, ("Latency",))


def test_what_names_correlations_is_deeper_and_has_an_end() -> None:
    rule = parsed("correlation: {type: temporal, rules: [alpha, beta], timespan: 1m}")
    depths = [correlation(rule, OWN_ID, KNOWN | {"beta": Names("b", depth)}).depth for depth in range(-1, DEEPEST)]
    assert depths == list(range(DEEPEST + 1))
    with pytest.raises(CorrelationRuleError, match="flatten it"):
        correlation(rule, OWN_ID, KNOWN | {"beta": Names("b", DEEPEST)})


def test_the_fields_that_are_read_of_a_rules_events() -> None:
    rule = parsed(
        "correlation: {type: value_count, rules: [alpha, beta], group-by: [who, Image], timespan: 1m,"
        " aliases: {who: {alpha: User}}, condition: {field: Ip, gte: 2}}"
    )
    assert (references(rule), fields_asked(rule, "alpha"), fields_asked(rule, "beta")) == (
        ["alpha", "beta"],
        {"User", "Image", "Ip"},
        {"who", "Image", "Ip"},
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{type: temporal, rules: [alpha, beta], timespan: 1m, condition: alpha or beta}", "`or` or `not`"),
        ("{type: temporal, rules: [alpha, beta], timespan: 1m, condition: alpha and not beta}", "`or` or `not`"),
        ("{type: temporal_ordered, rules: [alpha, beta], timespan: 1m, condition: beta and alpha}", "same order"),
        ("{type: temporal_ordered, rules: [alpha, beta], timespan: 1m, condition: {gte: 1}}", "all of its 2 rules"),
        ("{type: event_count, rules: [alpha, alpha], timespan: 1m, condition: {gte: 1}}", "'alpha' twice"),
        ("{type: event_count, rules: [alpha], timespan: 367d, condition: {gte: 1}}", "367d is longer than a year"),
        ("{type: event_count, rules: [], timespan: 1m, condition: {gte: 1}}", "names no rules"),
        ("{type: event_count, rules: [alpha], timespan: 1m, condition: {field: User, gte: 1}}", "reads no field"),
        ("{type: value_sum, rules: [alpha], timespan: 1m, condition: {field: [a, b], gte: 1}}", "reads one field"),
        ("{type: value_percentile, rules: [alpha], timespan: 24h, condition: {field: image, lte: 1}}", "a rule `rare`"),
        (
            "{type: value_percentile, rules: [alpha], timespan: 1m, condition: {field: a, percentile: 101, lte: 1}}",
            "0 to 100",
        ),
        (
            "{type: value_sum, rules: [alpha], timespan: 1m, condition: {field: a, percentile: 5, lte: 1}}",
            "no percentile",
        ),
        (
            "{type: temporal, rules: [alpha], timespan: 1m, aliases: {who: {beta: User}}}",
            "an alias for the rule 'beta'; name that among its rules",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(document: str, message: str) -> None:
    with pytest.raises(CorrelationRuleError, match=message):
        asked(document)


def test_what_pysigma_found_wrong_is_passed_on() -> None:
    rule = SigmaCorrelationRule.from_yaml(
        "title: Asked\ncorrelation: {type: event_count, rules: [a], timespan: 1x, condition: {gte: 1}}", True
    )
    with pytest.raises(CorrelationRuleError, match=r"^.*1x.*; mend it$"):
        correlation(rule, OWN_ID, {"a": Names("a")})
