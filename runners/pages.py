"""The page of `huntbeam report` and `huntbeam serve`: one HTML file with everything in it, and no way out of it.

Its policy lets run what is in it by its hash, and nothing else: no script of an event, no style, no image, no request.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from huntbeam.schemas.errors import UnusableError

_UNSAFE = re.compile("[<>&\u2028\u2029]")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_LIBRARY = "window.huntbeamVega = {vegaEmbed};"


def page(data: dict[str, Any], connect: str = "'none'") -> bytes:
    """The page with its data. `connect`: where its script may ask, as the policy writes it."""
    texts = {
        "style": _style(),
        "data": inline_json(data),
        "land": inline_json(msgspec.json.decode(_file("land.json"))),
        "library": _library(),
        "code": _code(),
    }
    texts["csp"] = _policy(texts, connect)
    return _PLACE.sub(lambda place: texts[place[1]], _file("page.html")).encode()


def inline_json(value: Any) -> str:
    r"""JSON that may stand in a script element: nothing in it ends the element or a line.

    >>> inline_json({"a": "</script>\u2028"})
    '{"a":"\\u003c/script\\u003e\\u2028"}'
    """
    text = msgspec.json.encode(value).decode()
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)  # these stand nowhere but within texts


def _policy(texts: dict[str, str], connect: str) -> str:
    scripts = " ".join(_hash(texts[name]) for name in ("library", "code"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(texts['style'])}; style-src-attr 'unsafe-inline'; "
        f"img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return files("huntbeam.runners").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _file("page.css")


@cache
def _code() -> str:
    folder = files("huntbeam.runners").joinpath("page")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".js"))
    return "\n".join(map(_file, names))


@cache
def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one module, out of the wheel that carries them (docs/decisions/0015)."""
    try:
        import vl_convert
    except ImportError as error:
        raise UnusableError(
            "the charts' library is missing: install it with `pip install 'huntbeam[report]'`"
        ) from error
    bundle: str = vl_convert.javascript_bundle(_LIBRARY)
    return bundle.replace("</script", "<\\/script")
