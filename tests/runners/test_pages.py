"""The page as a file: what stands in it, and that nothing in it can be ended or run by an event's text."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.runners.pages import inline_json, page
from tests.conftest import ROOT

HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028\u2029&lt;]]>{{code}}"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


class Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[str | None, str]] = []
        self.metas: dict[str, str] = {}
        self.addresses: list[str] = []
        self._type: str | None = ""
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag == "meta" and "http-equiv" in named:
            self.metas[named["http-equiv"] or ""] = named["content"] or ""
        if tag == "script":
            self._type, self._text = named.get("type"), ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._text is not None:
            self.scripts.append((self._type, self._text))
            self._text = None


@settings(max_examples=40)
@given(JSON)
def test_inlined_json_is_the_value_and_ends_nothing(value: Any) -> None:
    try:
        text = inline_json(value)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or more than 64 bits, which no row holds
        return
    assert json.loads(text) == json.loads(msgspec.json.encode(value))
    assert not re.search("[<>&\u2028\u2029]", text)


def test_the_page_has_four_scripts_of_which_the_policy_lets_two_run() -> None:
    text = page({"rows": [HOSTILE]}).decode()
    parser = Scripts()
    parser.feed(text)
    assert [kind for kind, _ in parser.scripts] == ["application/json", "application/json", "module", "module"]
    assert json.loads(parser.scripts[0][1]) == {"rows": [HOSTILE]}
    policy = dict(part.strip().split(" ", 1) for part in parser.metas["Content-Security-Policy"].split(";"))
    hashes = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for _, script in parser.scripts[2:]}
    assert set(policy["script-src"].split()) == hashes
    assert (policy["default-src"], policy["connect-src"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert all(address.startswith(("#", "data:")) for address in parser.addresses)


def test_our_scripts_make_no_markup_of_text() -> None:
    for path in (ROOT / "runners" / "page").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
