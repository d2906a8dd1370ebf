"""Saved objects into Kibana or OpenSearch Dashboards."""

from __future__ import annotations

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.search_http import SearchClient, SearchServer, Unreachable

_IMPORT = "/api/saved_objects/_import?overwrite=true"
_ASKED = {"kbn-xsrf": "true", "osd-xsrf": "true"}  # what each of the two wants to see in what is no click of a page


def import_objects(server: SearchServer, file: bytes) -> int:
    """Puts the objects of an NDJSON file, in place of those with their ids; gives how many. Raises UnusableError."""
    from urllib3.filepost import encode_multipart_formdata

    body, kind = encode_multipart_formdata({"file": ("huntbeam.ndjson", file, "application/ndjson")})
    client = SearchClient(server, _ASKED)
    try:
        answer = client.request("POST", _IMPORT, body, {"content-type": kind})
    except Unreachable as error:
        raise UnusableError(f"{error}: start it, or check the URL of --dashboards") from None
    finally:
        client.close()
    found = answer.json()
    if answer.status >= 300 or not isinstance(found, dict) or "successCount" not in found:
        raise UnusableError(
            f"{server.url} does not take saved objects ({answer.error()}): name Kibana or OpenSearch Dashboards with "
            "--dashboards, not the search server"
        )
    errors = found.get("errors") or []
    if errors:
        first = errors[0]
        why = first.get("error", {}).get("type", "unknown") if isinstance(first, dict) else "unknown"
        raise UnusableError(f"{server.url} took {found['successCount']} saved objects and refused {len(errors)}: {why}")
    return int(found["successCount"])
