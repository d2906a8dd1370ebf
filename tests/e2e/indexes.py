"""What a search server holds, asked over HTTP."""

from __future__ import annotations

import json
import time
from typing import Any

from huntbeam.transforms.search_http import SearchClient, SearchServer

_BUSY, _PATIENCE = 503, 60.0  # seconds: a server that has just started says so for a while


def asked(url: str, index: str, body: dict[str, Any]) -> dict[str, Any]:
    """A search over all that was written up to now."""
    client = SearchClient(SearchServer(url))
    client.request("POST", f"/{index}/_refresh")
    request = json.dumps({"track_total_hits": True, **body}).encode()
    until = time.monotonic() + _PATIENCE
    while (answer := client.request("POST", f"/{index}/_search", request)).status == _BUSY:
        assert time.monotonic() < until, answer.body
        time.sleep(0.2)
    client.close()
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def count(url: str, index: str) -> int:
    """How many documents there are."""
    total: int = asked(url, index, {"size": 0})["hits"]["total"]["value"]
    return total


def stored(url: str, index: str) -> dict[str, dict[str, Any]]:
    """Documents by id, at most 10,000."""
    return {hit["_id"]: hit["_source"] for hit in asked(url, index, {"size": 10_000})["hits"]["hits"]}
