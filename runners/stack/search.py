"""OpenSearch and Elasticsearch: one node each, through a runner that brings the server's modules as plain jars."""

from __future__ import annotations

from pathlib import Path

from huntbeam.runners.stack.state import HOST

_RUNNERS = {
    "opensearch": "org.codelibs.opensearch.runner.OpenSearchRunner",
    "elasticsearch": "org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner",
}

SETTINGS = f"""network.host: {HOST}
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
"""  # a developer's disk that is nearly full would make every index read-only


def arguments(name: str, port: int, home: Path, conf: Path, logs: Path) -> list[str]:
    """Java's arguments behind the class path. The runner counts nodes from 1 and adds that to the port."""
    return [
        f"-Djava.io.tmpdir={home / 'tmp'}",
        _RUNNERS[name],
        *("-numOfNode", "1", "-clusterName", name, "-baseHttpPort", str(port - 1)),
        *("-basePath", str(home), "-confPath", str(conf), "-dataPath", str(home / "data"), "-logsPath", str(logs)),
    ]
