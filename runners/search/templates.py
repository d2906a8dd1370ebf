"""Index templates and the policy that deletes old indexes, from the records' declarations. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from huntbeam.schemas.search import indexable, mapping, target
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.search_http import Version

_PRIORITY = 200  # above those that servers bring
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Layout:
    """What is set up: for indexes with `prefix`; old ones are deleted `retention_days` after they were made."""

    prefix: str = ""
    shards: int = 1
    replicas: int | None = None  # None: the server's default
    retention_days: int | None = None

    def pattern(self, stream: str) -> str:
        """The indexes of a stream."""
        return f"{self.prefix}{target(stream).name}-*"

    def patterns(self) -> list[str]:
        """All indexes."""
        return [self.pattern(stream) for stream in indexable()]

    def template(self, stream: str) -> str:
        """The name of a stream's template."""
        return f"huntbeam-{self.prefix}{target(stream).name}"

    def policy(self) -> str:
        """The name of the policy."""
        return f"huntbeam{'-' if self.prefix else ''}{self.prefix}".rstrip("-")


def template(stream: str, version: Version, layout: Layout) -> dict[str, Any]:
    """The template of a stream's indexes, as the server's version takes it."""
    mappings = mapping(STREAMS[stream])
    settings: dict[str, Any] = {"number_of_shards": layout.shards, "refresh_interval": "5s"}
    if layout.replicas is not None:
        settings["number_of_replicas"] = layout.replicas
    if layout.retention_days is not None and not version.opensearch:
        settings["lifecycle.name"] = layout.policy()
    body: dict[str, Any] = {"index_patterns": [layout.pattern(stream)]}
    if version.composable:
        inner = {"settings": {"index": settings}, "mappings": mappings}
        return body | {"priority": _PRIORITY, "template": inner}
    kind = version.document_type
    return body | {
        "order": _PRIORITY,
        "settings": {"index": settings},
        "mappings": mappings if kind is None else {kind: mappings},
    }


def template_path(version: Version, name: str) -> str:
    """Where the server keeps a template."""
    return f"/_index_template/{name}" if version.composable else f"/_template/{name}"


def policy_path(version: Version, name: str) -> str:
    """Where the server keeps a policy."""
    return f"/_plugins/_ism/policies/{name}" if version.opensearch else f"/_ilm/policy/{name}"


def policy(version: Version, layout: Layout) -> dict[str, Any]:
    """OpenSearch's ISM policy, or Elasticsearch's ILM policy."""
    age = f"{layout.retention_days}d"
    if not version.opensearch:
        phases = {"hot": {"actions": {}}, "delete": {"min_age": age, "actions": {"delete": {}}}}
        return {"policy": {"phases": phases}}
    after = {"state_name": "delete", "conditions": {"min_index_age": age}}
    return {
        "policy": {
            "description": f"HuntBeam's indexes are deleted after {age}",
            "default_state": "keep",
            "states": [
                {"name": "keep", "actions": [], "transitions": [after]},
                {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": layout.patterns(), "priority": _PRIORITY}],
        }
    }


def days(milliseconds: int) -> int:
    """Whole days, as both kinds of policies count. Raises ValueError for less than one, or a part of one."""
    whole, rest = divmod(milliseconds, _DAY_MS)
    if rest or not whole:
        raise ValueError("write whole days, such as 90d")
    return whole
