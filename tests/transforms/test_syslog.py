"""Syslog headers and the parting of TCP streams, against what the RFCs write and against naive ways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huntbeam.transforms.syslog import Framer, Framing, Header, take_off

RECORD = b"1500\tkey\t10.0.0.5\t131752944000000000\t4711\t0"
BARE = [
    RECORD,
    b"2fd0ea26-0b3c-4e4e-a4b1-6d1e77d5a5b2\tguid\t1500",
    b"",
    b"<",
    b"<13",
    b"<13>",
    b"<192>1500\tk",
    b"<007>1500\tk",
    b"<13>Oct 11 22:14:15 ws-1 ",
    b"<165>1 2024-03-04T05:06:07Z ws-1 monster - - -",
    b"\x00\xff<13>x",
    b"1500,key,csv",
]


@pytest.mark.parametrize("message", BARE, ids=range(len(BARE)))
def test_what_has_no_header_or_nothing_behind_it_stays_as_it_is(message: bytes) -> None:
    assert take_off(message) == (message, None)


RFC3164 = [
    b"<13>",
    b"<0>",
    b"<191>",
    b"<13>monster: ",
    b"<13>monster[4711]:",
    b"<134>Oct 11 22:14:15 ws-1 ",
    b"<134>Oct  1 22:14:15 ws-1 monster: ",
    b"<134>Oct  1 22:14:15 ws-1 monster[4711]: ",
    b"<134>Oct  1 22:14:15 ws-1 monster:",
    b"<134>Oct 11 22:14:15 ",
    b"<134>Oct 11 22:14:15 monster: ",
    b"<134>Oct 11 2024 22:14:15 2001:db8::7 ",
    b"<134>Oct 11 22:14:15.123 ws-1.corp.example agent/monster(1): ",
    b"<134>2024-03-04T05:06:07.089+09:00 ws-1 monster: ",
]


@pytest.mark.parametrize("header", RFC3164, ids=range(len(RFC3164)))
@pytest.mark.parametrize("end", [b"", b"\n", b"\0", b"\r\n"], ids=["none", "lf", "nul", "crlf"])
def test_a_header_of_rfc_3164_goes(header: bytes, end: bytes) -> None:
    assert take_off(header + RECORD + end) == (RECORD, Header.RFC3164)


RFC5424 = [
    b"<165>1 - - - - - - ",
    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 - ",
    b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - ",
    b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - \xef\xbb\xbf",
    b'<165>1 2003-10-11T22:14:15.003Z host app - ID47 [exampleSDID@32473 iut="3" eventSource="A\\]\\"\\\\"] ',
    b'<165>1 2003-10-11T22:14:15.003Z host app - ID47 [a@1 x="1"][b@1 y="2 ] "] ',
    b"<165>1 2003-10-11T22:14:15.003Z host app - ID47 [a@1] ",
]


@pytest.mark.parametrize("header", RFC5424, ids=range(len(RFC5424)))
def test_a_header_of_rfc_5424_goes(header: bytes) -> None:
    assert take_off(header + RECORD) == (RECORD, Header.RFC5424)


def test_a_word_with_a_colon_is_no_tag_where_no_columns_follow() -> None:
    assert take_off(b"<13>Error: the disk is full") == (b"Error: the disk is full", Header.RFC3164)


@given(
    st.sampled_from(RFC3164 + RFC5424),
    st.lists(st.binary(max_size=20).map(lambda b: b.translate(None, b"\t")), min_size=1),
)
def test_the_columns_behind_a_header_are_whole(header: bytes, columns: list[bytes]) -> None:
    record = b"\t".join([b"1500", *columns])
    assert take_off(header + record)[0] == record.rstrip(b"\r\n\0")


@given(st.binary(max_size=200).map(lambda b: b"<13>" + b) | st.text('<>013 -[]="\\aO:\t', max_size=80).map(str.encode))
def test_whatever_comes_what_is_left_is_a_part_of_it(message: bytes) -> None:
    record, header = take_off(message)
    assert record in message
    assert record or not message
    if header is None:
        assert record == message


@pytest.mark.parametrize(
    "message",
    [
        b"<13>1 - a b c d " + b'[a x="' * 20_000,
        b"<13>1 - a b c d [a" + b' x="\\"' * 20_000,
        b"<13>Oct 11 22:14:15 " + b"a" * 200_000,
        b"<13>" + b"1" * 200_000,
        b"<13>1 - a b c d " + b'[a x=""]' * 20_000,
    ],
    ids=["elements", "quotes", "host", "digits", "no end"],
)
def test_long_headers_that_are_none_end_at_once(message: bytes) -> None:
    for _ in range(20):  # with backtracking one of them would take hours
        assert take_off(message)


def cut_at(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(ends)]


def fed(stream: bytes, places: list[int], limit: int = 100, framing: Framing = Framing.AUTO) -> tuple[list[bytes], int]:
    framer = Framer(limit, framing)
    records = [record for piece in cut_at(stream, places) for record in framer.feed(piece)]
    return records + framer.finish(), framer.cut


PLACES = st.lists(st.integers(0, 10_000), max_size=20)
LINE = st.binary(max_size=60).map(lambda b: b.translate(None, b"\r\n"))
TEXT = LINE.filter(lambda line: not line[:1].isdigit())  # a number and a space would be a length


@given(st.lists(st.tuples(TEXT, st.sampled_from([b"\n", b"\r\n"]))), PLACES)
def test_lines_are_parted_wherever_packets_end(lines: list[tuple[bytes, bytes]], places: list[int]) -> None:
    assert fed(b"".join(line + end for line, end in lines), places) == ([line for line, _ in lines], 0)


@given(st.lists(LINE), PLACES)
def test_with_newlines_alone_numbers_are_no_lengths(lines: list[bytes], places: list[int]) -> None:
    stream = b"".join(b"%s\n" % line for line in lines)
    assert fed(stream, places, framing=Framing.NEWLINE) == (lines, 0)


@given(st.lists(st.tuples(st.booleans(), TEXT.filter(bool))), PLACES)
def test_each_record_tells_how_it_is_framed(records: list[tuple[bool, bytes]], places: list[int]) -> None:
    stream = b"".join(b"%d %s" % (len(r), r) if counted else b"%s\n" % r for counted, r in records)
    assert fed(stream, places) == ([record for _, record in records], 0)


@given(st.lists(st.binary(min_size=1, max_size=60)), PLACES)
def test_counted_records_may_hold_anything(records: list[bytes], places: list[int]) -> None:
    assert fed(b"".join(b"%d %s" % (len(r), r) for r in records), places) == (records, 0)


def test_bare_records_begin_with_numbers_that_are_no_lengths() -> None:
    stream = b"1500\ta b\n" + b"1501\tc d\n" + b"2500"
    for place in range(len(stream)):
        assert fed(stream, [place]) == ([b"1500\ta b", b"1501\tc d", b"2500"], 0)


@given(st.lists(st.integers(1, 40)), st.booleans(), PLACES)
@example([21, 20, 22, 19], False, [])
def test_long_records_are_cut_and_counted_and_the_next_ones_are_whole(
    lengths: list[int], counted: bool, places: list[int]
) -> None:
    records = [bytes([97 + n % 26]) * length for n, length in enumerate(lengths)]
    stream = b"".join(b"%d %s" % (len(r), r) if counted else b"%s\n" % r for r in records)
    assert fed(stream, places, limit=20) == ([r[:20] for r in records], sum(length > 20 for length in lengths))


@given(st.binary(max_size=300), PLACES)
def test_where_packets_end_is_no_matter_whatever_comes(stream: bytes, places: list[int]) -> None:
    assert fed(stream, places, limit=16) == fed(stream, [], limit=16)


def test_a_counted_record_that_breaks_off_is_forwarded_as_far_as_it_came() -> None:
    assert fed(b"10 abc", []) == ([b"abc"], 1)


def test_what_is_held_is_bounded() -> None:
    framer = Framer(1_000)
    for _ in range(100):
        framer.feed(b"x" * 997)
        assert len(framer._held) <= 1_002 + 997
    assert framer.cut == 1
