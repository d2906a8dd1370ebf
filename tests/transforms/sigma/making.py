"""Strategies of rules and events that have something to do with each other: every modifier, odd letters, odd values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from huntbeam.transforms.sigma.events import SECURITY, SYSMON, SigmaEvent
from huntbeam.transforms.sigma.fields import fields_of
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.sources import SECURITY_NAMES
from tests.transforms.sigma.rules import APPLICATION, PROCESS, Data, event, rule

LETTERS = "abAB0.\\*?-/ %ßẞéÉΣσςſKİ日😀\n"
FIELDS = ["Image", "CommandLine", "ParentImage", "User", "OriginalFileName", "Port"]
NAMES = ["selection", "selection_2", "filter", "other"]

words = st.text(LETTERS, max_size=4)
patterns = st.text(LETTERS, max_size=6)  # with * ? and \ in it: Sigma's own meaning
numbers = st.sampled_from([0, 1, 7, -3, 443, 1.5, 2**40, 2**64, -0.25])
networks = st.sampled_from(["10.0.0.0/8", "192.0.2.0/25", "0.0.0.0/0", "fe80::/10", "::1/128", "10.1.2.3/32"])
times = st.sampled_from(["2026-03-04 05:06:07.089", "2026-12-31T23:59:59Z", "2027-01-03 00:00", "05:06", ""])
addresses = st.sampled_from(["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.200", "fe80:0:0:0:1:2:3:4", "::1", "LOCAL"])

one_value = st.one_of(
    words,
    st.lists(words, max_size=4).map("".join),
    numbers,
    numbers.map(str),
    st.sampled_from([True, False, "0x1bb", "0x7", "true", "", " 7 "]),
    times,
    addresses,
)
event_values = st.one_of(one_value, one_value, st.none(), st.lists(st.one_of(one_value, st.none()), max_size=3))


def _some(values: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[Any]:
    lists = st.lists(values, min_size=least, max_size=4)
    return lists if least > 1 else st.one_of(values, lists)


_LITERAL = st.sampled_from(LETTERS.replace("\n", "").replace("İ", "")).map(lambda c: "\\" + c if c in ".\\*?-/" else c)
_ATOMS = st.one_of(_LITERAL, _LITERAL, st.sampled_from([".", "[aB]", "[^a]", "(?:a|B.)", "^"]))
# Where RE2 and Python's engine mean the same: no $ (Python lets a line break follow), no classes of Unicode.
regexes = st.lists(st.tuples(_ATOMS, st.sampled_from(["", "", "", "*", "+", "?", "{2}"])), min_size=1, max_size=5).map(
    lambda parts: "".join(atom + (quantifier if atom != "^" else "") for atom, quantifier in parts)
)


@st.composite
def items(draw: st.DrawFn, keyword: bool = False) -> tuple[str, Any]:
    """A key with its modifiers, and the value."""
    field = "" if keyword else draw(st.sampled_from(FIELDS))
    neq = "" if keyword else draw(st.sampled_from(["", "", "", "|neq"]))
    place = draw(st.sampled_from(["", "|contains", "|startswith", "|endswith"]))
    cased = draw(st.sampled_from(["", "", "|cased"]))
    every = draw(st.sampled_from(["", "", "|all"]))
    kinds = ["text", "text", "windash", "re", "base64", "number", "compare", "cidr", "bool"]
    kind = draw(st.sampled_from(kinds if keyword else [*kinds, "exists", "null", "fieldref", "time", "mixed"]))
    if kind == "text":
        return f"{field}{place}{cased}{every}{neq}", draw(_some(patterns, 2 if every else 1))
    if kind == "windash":
        return f"{field}|windash{place}{every}{neq}", draw(_some(st.sampled_from(["-a", " /b", "a-b", "-a /b", "x"])))
    if kind == "re":
        flags = "".join(f"|{flag}" for flag in draw(st.lists(st.sampled_from("ims"), unique=True)))
        return f"{field}|re{flags}{neq}", draw(_some(regexes))
    if kind == "base64":
        how = draw(
            st.sampled_from(["|base64", "|base64offset", "|wide|base64offset", "|utf16le|base64", "|utf16|base64"])
        )
        return f"{field}{how}|contains{neq}", draw(_some(st.text("abAB0.\\", min_size=1, max_size=4)))
    if kind == "compare":
        return f"{field}|{draw(st.sampled_from(['lt', 'lte', 'gt', 'gte']))}{neq}", draw(_some(numbers))
    if kind == "time":
        part = draw(st.sampled_from(["minute", "hour", "day", "week", "month", "year"]))
        compare = draw(st.sampled_from(["", "|gte", "|lt"]))
        return f"{field}|{part}{compare}{neq}", draw(_some(st.sampled_from([0, 3, 4, 5, 6, 10, 12, 53, 59, 2026])))
    if kind == "cidr":
        return f"{field}|cidr{neq}", draw(_some(networks))
    if kind == "exists":
        return f"{field}|exists", draw(st.booleans())
    if kind == "null":
        return f"{field}{neq}", draw(st.sampled_from([None, [], [None, "a"]]))
    if kind == "fieldref":
        return f"{field}|fieldref{place}{neq}", draw(_some(st.sampled_from(FIELDS)))
    values: dict[str, st.SearchStrategy[Any]] = {"number": numbers, "bool": st.booleans()}
    return f"{field}{neq}", draw(_some(values.get(kind, st.one_of(patterns, numbers, st.booleans(), st.none()))))


maps = st.lists(items(), min_size=1, max_size=3).map(dict)
keywords = st.one_of(
    st.lists(st.one_of(patterns, numbers), min_size=1, max_size=3),
    items(keyword=True).map(lambda item: dict([item if item[0] else ("|contains", ["a", "b"])])),
)
detections = st.one_of(maps, maps, maps, st.lists(maps, min_size=1, max_size=2), keywords)

conditions = st.recursive(
    st.sampled_from([*NAMES, "1 of selection*", "all of them", "1 of them", "all of *er", "any of filter"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: f"({' '.join(three)})"),
        inner.map(lambda one: f"not {one}"),
    ),
    max_leaves=4,
)


@st.composite
def rules(draw: st.DrawFn) -> Data:
    """A rule for processes, for the Application log, or for all of Windows."""
    named = {name: draw(detections) for name in NAMES}
    named["condition"] = draw(st.one_of(conditions, st.lists(conditions, min_size=1, max_size=2)))
    if draw(st.booleans()):
        named["selection"] = {"EventID": draw(st.sampled_from([1, 1000, [1000, 1001], "1000", 4688]))}
    return rule(named, draw(st.sampled_from([PROCESS, APPLICATION, {"product": "windows"}])))


@st.composite
def events(draw: st.DrawFn) -> SigmaEvent:
    """An event that may be looked at; some fields are missing."""
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), event_values, max_size=6))
    channel, event_id = draw(
        st.sampled_from(
            [(SYSMON, 1), (SECURITY, 4688), ("Application", 1000), ("application", 1001), (None, 7), ("X", 1)]
        )
    )
    known = fields_of([fold(channel)], [event_id]) if channel else None
    if event_id == 4688:
        fields = {str(SECURITY_NAMES[4688].get(name, name)): value for name, value in fields.items()}
    if known is not None:  # what a source does not have, its events do not have here either
        fields = {name: value for name, value in fields.items() if name in known}
    return event(fields, channel, event_id)
