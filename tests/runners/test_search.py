"""Templates for every version, the saved objects' references, and the commands against a server over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.search.panel_queries import aggregations, query
from huntbeam.runners.search.saved_objects import ndjson, saved_objects
from huntbeam.runners.search.templates import Layout, days, policy, template, template_path
from huntbeam.schemas import streams
from huntbeam.schemas.panels import DASHBOARDS, Panel, Shape
from huntbeam.schemas.search import indexable
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.search_http import Version
from tests.transforms.search_double import Kept, serving

OPENSEARCH, ELASTIC_6, ELASTIC_7, ELASTIC_9 = (
    Version(True, 2, 19),
    Version(False, 6, 8),
    Version(False, 7, 7),
    Version(False, 9, 0),
)


@pytest.fixture
def kept() -> Iterator[Kept]:
    with serving(Kept()) as found:
        yield found


class TestTemplates:
    def test_composable_where_there_are_such(self) -> None:
        made = template(streams.JOIN, OPENSEARCH, Layout(shards=2, replicas=0))
        assert made["index_patterns"] == ["sysmon-join-*"]
        assert made["template"]["settings"]["index"] == {
            "number_of_shards": 2,
            "refresh_interval": "5s",
            "number_of_replicas": 0,
        }
        assert made["template"]["mappings"]["properties"]["dst_ip_addr"] == {"type": "ip"}
        assert template_path(OPENSEARCH, "x") == "/_index_template/x"

    def test_legacy_ones_before_and_the_type_of_elasticsearch_6(self) -> None:
        assert "properties" in template(streams.JOIN, ELASTIC_7, Layout())["mappings"]
        assert list(template(streams.JOIN, ELASTIC_6, Layout())["mappings"]) == ["doc"]
        assert template_path(ELASTIC_7, "x") == "/_template/x"

    def test_retention_is_ism_or_ilm(self) -> None:
        layout = Layout("lab-", retention_days=90)
        ism = policy(OPENSEARCH, layout)["policy"]
        assert ism["states"][0]["transitions"][0]["conditions"] == {"min_index_age": "90d"}
        assert ism["ism_template"][0]["index_patterns"] == layout.patterns()
        assert policy(ELASTIC_9, layout)["policy"]["phases"]["delete"]["min_age"] == "90d"
        settings = template(streams.JOIN, ELASTIC_9, layout)["template"]["settings"]["index"]
        assert settings["lifecycle.name"] == layout.policy() == "huntbeam-lab"
        assert "lifecycle.name" not in template(streams.JOIN, OPENSEARCH, layout)["template"]["settings"]["index"]

    def test_days(self) -> None:
        assert days(90 * 86_400_000) == 90
        for part in (3_600_000, 86_400_001):
            with pytest.raises(ValueError, match="whole days"):
                days(part)


OBJECTS = saved_objects(Layout())
BY_ID = {(one["type"], one["id"]): one for one in OBJECTS}


class TestSavedObjects:
    def test_each_has_an_id_of_its_own_and_what_it_refers_to_comes_before(self) -> None:
        seen: set[tuple[str, str]] = set()
        for one in OBJECTS:
            key = one["type"], one["id"]
            assert key not in seen
            assert {(r["type"], r["id"]) for r in one["references"]} <= seen
            seen.add(key)

    def test_every_reference_has_its_name_in_the_object(self) -> None:
        for one in OBJECTS:
            text = one["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "")
            text += one["attributes"].get("panelsJSON", "")
            for reference in one["references"]:
                assert f'"{reference["name"]}"' in text
            assert text.count("RefName") == len(one["references"])

    def test_what_is_text_is_json(self) -> None:
        for one in OBJECTS:
            for name, value in one["attributes"].items():
                if name.endswith(("JSON", "visState")):
                    assert isinstance(json.loads(value), dict | list)

    def test_panels_do_not_overlap_and_none_is_beyond_the_edge(self) -> None:
        for one in OBJECTS:
            if one["type"] == "dashboard":
                grids = [panel["gridData"] for panel in json.loads(one["attributes"]["panelsJSON"])]
                cells = [(g["x"] + x, g["y"] + y) for g in grids for x in range(g["w"]) for y in range(g["h"])]
                assert len(set(cells)) == len(cells)
                assert max(x for x, _ in cells) < 48

    def test_the_aggregations_are_those_that_the_server_is_asked_for(self) -> None:
        for board in DASHBOARDS:
            for panel in (panel for panel in board.panels if panel.stream in STREAMS and panel.shape is not Shape.LIST):
                found = BY_ID["visualization", f"huntbeam-{board.name}-{panel.name.replace('_', '-')}"]
                state = json.loads(found["attributes"]["visState"])
                if panel.shape in (Shape.MAP, Shape.RATIO):
                    body = json.loads(state["params"]["spec"])["data"][0]["url"]["body"]
                    assert body["aggs"] == aggregations(panel, {"%autointerval%": True})
                else:
                    assert as_asked(state["aggs"]) == aggregations(panel)
                    source = json.loads(found["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
                    assert [one["query"] for one in source["filter"]] == ([query(panel.where)] if panel.where else [])

    def test_the_file_ends_with_how_many_there_are(self) -> None:
        lines = [json.loads(line) for line in ndjson(OBJECTS).splitlines()]
        assert lines[:-1] == OBJECTS
        assert lines[-1]["exportedCount"] == len(OBJECTS)

    def test_a_prefix_is_everywhere(self) -> None:
        for one in saved_objects(Layout("lab-")):
            assert one["id"].startswith("huntbeam-lab-")
            if one["type"] == "index-pattern":
                assert one["attributes"]["title"].startswith("lab-")


def as_asked(aggs: list[dict[str, Any]]) -> dict[str, Any]:
    """What Kibana makes of a visualization's aggregations."""
    metric, *splits = aggs
    sums = metric["type"] == "sum"
    summed: dict[str, Any] = {"1": {"sum": {"field": metric["params"]["field"]}}} if sums else {}
    inner = summed
    for split in reversed(splits):
        parameters = split["params"]
        if split["type"] == "date_histogram":
            bucket = {"field": parameters["field"], "fixed_interval": "1h", "min_doc_count": 1}
        else:
            order = {"1" if sums else "_count": parameters["order"]}
            bucket = {"field": parameters["field"], "size": parameters["size"], "order": order}
            if parameters["missingBucket"]:
                bucket["missing"] = "__missing__"
            inner = {**summed, **inner}
        inner = {split["id"]: {split["type"]: bucket, **({"aggs": inner} if inner else {})}}
    return inner


def test_conditions_as_the_server_takes_them() -> None:
    board = DASHBOARDS[0]
    signers = next(panel for panel in board.panels if panel.name == "signers")
    assert query(signers.where)["bool"]["filter"] == [
        {"terms": {"EventID": [1500]}},
        {
            "bool": {
                "should": [
                    {"bool": {"must_not": [{"terms": {"signer_trusted": [True]}}]}},
                    {"bool": {"must_not": [{"wildcard": {"Signer": {"value": "*Microsoft*"}}}]}},
                ],
                "minimum_should_match": 1,
            }
        },
    ]


def test_programs_without_a_signer_are_among_those_whose_signer_is_not_trusted() -> None:
    board = DASHBOARDS[0]
    signers = next(panel for panel in board.panels if panel.name == "signers")
    by_signer = aggregations(signers)["2"]["aggs"]["3"]
    assert by_signer["terms"]["missing"] == "__missing__"
    state = json.loads(BY_ID["visualization", "huntbeam-monster-signers"]["attributes"]["visState"])
    assert state["aggs"][2]["params"]["missingBucketLabel"] == "not signed"


def test_a_list_asks_for_no_numbers() -> None:
    assert aggregations(Panel("l", "l", streams.JOIN, Shape.LIST, columns=("host",))) == {}


class TestCommands:
    def test_setup_puts_a_template_a_stream_and_the_dashboards(
        self, kept: Kept, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["index", "setup", "--index", kept.url, "--dashboards", kept.url]) == 0
        put = [path for method, path, _, _ in kept.requests if method == "PUT"]
        assert put == [template_path(OPENSEARCH, Layout().template(stream)) for stream in indexable()]
        imported = next(request for request in kept.requests if request[1].startswith("/api"))
        assert imported[1] == "/api/saved_objects/_import?overwrite=true"
        assert imported[2]["kbn-xsrf"] == imported[2]["osd-xsrf"] == "true"
        assert ndjson(OBJECTS) in imported[3]
        assert f"{len(OBJECTS)} saved objects at {kept.url}" in capsys.readouterr().err

    def test_retention(self, kept: Kept) -> None:
        assert main(["index", "setup", "--index", kept.url, "--retention", "30d"]) == 0
        path = "/_plugins/_ism/policies/huntbeam"
        body = next(body for method, at, _, body in kept.requests if (method, at) == ("PUT", path))
        assert json.loads(body)["policy"]["states"][0]["transitions"][0]["conditions"] == {"min_index_age": "30d"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--retention", "5h"], "--retention 5h: write whole days, such as 90d"),
            (["--retention", "x"], "--retention: 'x' is no duration"),
            (["--shards", "0"], "--shards is 1 or more"),
            (["--index_prefix", "A"], "--index_prefix A: write lower-case"),
            (["--index_auth", "user:pass"], "--index_auth takes no secret"),
        ],
    )
    def test_what_cannot_be(
        self, kept: Kept, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["index", "setup", "--index", kept.url, *options]) == 2
        assert message in capsys.readouterr().err

    def test_nobody_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["index", "show", "--index", "http://127.0.0.1:1"]) == 2
        assert "does not answer (NewConnectionError): start it, or check the URL" in capsys.readouterr().err

    def test_the_address_comes_from_the_environment(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENSEARCH_URL", kept.url)
        assert main(["index", "show"]) == 0
        assert kept.requests

    def test_export_writes_what_import_would(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["dashboards", "export"]) == 0
        assert capsys.readouterr().out.encode() == ndjson(OBJECTS)
        assert main(["dashboards", "export", "--output", str(tmp_path / "x"), "--index_prefix", "lab-"]) == 0
        assert (tmp_path / "x").read_bytes() == ndjson(saved_objects(Layout("lab-")))

    def test_import_into_what_is_no_dashboards(self, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["dashboards", "import", "--dashboards", f"{kept.url}/elsewhere"]) == 2
        assert "does not take saved objects (status 404" in capsys.readouterr().err
