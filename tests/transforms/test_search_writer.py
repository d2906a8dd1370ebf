"""Documents until each is taken or refused, with a server over real HTTP; and who asks it."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.search_bulk import Document, Limits, Refused, Written
from huntbeam.transforms.search_http import SearchClient, SearchServer, Unreachable, Version, credentials
from huntbeam.transforms.search_index import WriteDocumentsFn, WriteToSearchIndex
from huntbeam.transforms.search_writer import Writer
from tests.transforms.search_double import Kept, serving


@pytest.fixture
def kept() -> Iterator[Kept]:
    with serving(Kept()) as found:
        yield found


def documents(count: int, **row: object) -> list[Document]:
    return [Document("logs-x", f"id{n}", json.dumps({"n": n, **row}).encode()) for n in range(count)]


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def writer(server: Kept | str, patience: float | None = None, clock: Clock | None = None) -> Writer:
    clock = clock or Clock()
    url = server if isinstance(server, str) else server.url
    draw = random.Random(1).random  # noqa: S311 - no secret
    return Writer(SearchClient(SearchServer(url)), patience, clock=clock, sleep=clock.sleep, draw=draw)


class TestWriter:
    def test_stores_in_one_compressed_request(self, kept: Kept) -> None:
        assert writer(kept).write(documents(50)) == Written(stored=50)
        assert {name for _, name in kept.documents} == {f"id{n}" for n in range(50)}
        (_, path, headers, _) = kept.requests[-1]
        assert (headers["content-encoding"], headers["content-type"]) == ("gzip", "application/x-ndjson")
        assert path.startswith("/_bulk?filter_path=")

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_waits_longer_each_time_while_the_server_is_busy(self, kept: Kept, status: int) -> None:
        kept.fails = [(status, "")] * 6
        clock = Clock()
        assert writer(kept, clock=clock).write(documents(3)) == Written(stored=3)
        assert len(clock.slept) == 6
        assert all(whole / 2 <= wait <= whole for wait, whole in zip(clock.slept, [0.5, 1, 2, 4, 8, 15], strict=True))

    def test_only_what_was_turned_away_goes_again(self, kept: Kept) -> None:
        items = [{"index": {"status": 201}}, {"index": {"status": 429, "error": {"type": "rejected"}}}]
        kept.fails = [(200, json.dumps({"items": items}))]
        assert writer(kept).write(documents(2)) == Written(stored=2)
        assert [name for _, name in kept.documents] == ["id1"]

    def test_patience_ends_with_one_sentence(self, kept: Kept) -> None:
        kept.fails = [(503, "")] * 99
        clock = Clock()
        with pytest.raises(UnusableError, match=r"the server is busy \(status 503\) for 60 s: look at the server"):
            writer(kept, 60, clock).write(documents(1))
        assert clock.now <= 60

    def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(UnusableError, match=r"http://127.0.0.1:1 does not answer \(NewConnectionError\) for 5 s"):
            writer("http://127.0.0.1:1", 5).write(documents(1))

    def test_a_bad_document_is_refused_the_others_are_stored(self, kept: Kept) -> None:
        bad = Document("logs-x", "bad", b'{"dst_ip_addr":"bad"}')
        assert writer(kept).write([*documents(2), bad]) == Written(
            2, 0, [Refused(bad, "mapper_parsing_exception", "dst_ip_addr (ip)")]
        )

    def test_what_is_too_large_as_a_whole_goes_in_parts(self, kept: Kept) -> None:
        kept.most = 400
        huge = Document("logs-x", "huge", json.dumps("x" * 1_000).encode())
        assert writer(kept).write([*documents(9), huge]) == Written(9, 0, [Refused(huge, "too_large")])
        assert len(kept.documents) == 9

    def test_the_second_time_nothing_is_new(self, kept: Kept) -> None:
        versioned = [Document("logs-x", "a", b"{}", 3)]
        assert writer(kept).write(versioned) == Written(stored=1)
        assert writer(kept).write(versioned) == Written(superseded=1)
        assert writer(kept).write([Document("logs-x", "a", b"{}", 2)]) == Written(superseded=1)
        assert writer(kept).write([Document("logs-x", "a", b"{}", 4)]) == Written(stored=1)

    def test_elasticsearch_6_is_told_the_type(self, kept: Kept) -> None:
        kept.version = {"number": "6.8.23"}
        writer(kept).write(documents(1))
        assert json.loads(kept.requests[-1][3].splitlines()[0])["index"]["_type"] == "doc"

    def test_another_server_is_no_search_server(self, kept: Kept) -> None:
        kept.version = {}
        with pytest.raises(UnusableError, match="is neither OpenSearch nor Elasticsearch"):
            writer(kept).write(documents(1))

    def test_a_refused_request_says_why(self, kept: Kept) -> None:
        kept.fails = [(403, '{"error": {"type": "security_exception", "reason": "no rights"}}')]
        with pytest.raises(UnusableError, match="status 403, security_exception: no rights"):
            writer(kept).write(documents(1))


@pytest.mark.parametrize(
    ("said", "version", "text"),
    [
        ({"number": "2.19.1", "distribution": "opensearch"}, Version(True, 2, 19), "OpenSearch 2.19"),
        ({"number": "7.10.2", "distribution": "opensearch"}, Version(True, 7, 10), "OpenSearch 7.10"),
        ({"number": "9.1.0"}, Version(False, 9, 1), "Elasticsearch 9.1"),
        ({"number": "6.8.23"}, Version(False, 6, 8), "Elasticsearch 6.8"),
    ],
    ids=["opensearch", "opensearch-as-7", "elasticsearch-9", "elasticsearch-6"],
)
def test_versions(kept: Kept, said: dict[str, str], version: Version, text: str) -> None:
    kept.version = said
    assert SearchClient(SearchServer(kept.url)).version() == version
    assert str(version) == text


def test_what_a_version_has() -> None:
    assert [Version(False, *v).composable for v in ((6, 8), (7, 7), (7, 8), (9, 0))] == [False, False, True, True]
    assert [Version(False, *v).document_type for v in ((6, 8), (7, 0))] == ["doc", None]
    assert Version(True, 1, 0).composable
    assert Version(True, 1, 0).document_type is None


def test_too_old_a_server(kept: Kept) -> None:
    kept.version = {"number": "5.6.16"}
    with pytest.raises(UnusableError, match=r"is Elasticsearch 5.6: OpenSearch 1 or Elasticsearch 6 is the oldest"):
        SearchClient(SearchServer(kept.url)).version()


SECRET = "hunter:pä ss:word"  # noqa: S105 - what must not be seen


class TestLogin:
    def test_forms(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOGIN", SECRET)
        assert credentials("env:LOGIN") == {"authorization": "Basic aHVudGVyOnDDpCBzczp3b3Jk"}
        place = tmp_path / "login"
        place.write_text("ApiKey ZW5jb2RlZA==\n")
        assert credentials(f"file:{place}") == {"authorization": "ApiKey ZW5jb2RlZA=="}
        place.write_text("apikey id:key")
        assert credentials(f"file:{place}") == {"authorization": "ApiKey aWQ6a2V5"}
        assert credentials(None) == {}

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("env:NOT_THERE", "the variable is not set where this runs"),
            ("file:/not/there", r"cannot be read \(No such file or directory\)"),
        ],
    )
    def test_a_place_without_one(self, reference: str, message: str) -> None:
        with pytest.raises(UnusableError, match=message):
            credentials(reference)

    def test_what_is_no_login_is_not_quoted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOGIN", "onlyasecret")
        with pytest.raises(UnusableError, match="neither USER:PASSWORD nor") as raised:
            credentials("env:LOGIN")
        assert "onlyasecret" not in str(raised.value)

    def test_it_is_in_no_job_and_no_text(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOGIN", SECRET)
        server = SearchServer(kept.url, "env:LOGIN")
        client = SearchClient(server)
        kept.logins = ("somebody else's",)
        with pytest.raises(UnusableError, match="refuses the login in env:LOGIN: check it") as raised:
            client.version()
        step = WriteDocumentsFn(server, None, Limits())
        shown = [repr(server), repr(client), str(raised.value), repr(WriteToSearchIndex(server))]
        shown += [pickle.dumps(thing).decode("latin-1") for thing in (server, step, WriteToSearchIndex(server))]
        for text in shown:
            assert "word" not in text
            assert "aHVudGVy" not in text

    def test_one_that_was_changed_is_read_again(self, kept: Kept, tmp_path: Path) -> None:
        place = tmp_path / "login"
        place.write_text("ApiKey old")
        client = SearchClient(SearchServer(kept.url, f"file:{place}"))
        kept.logins = ("ApiKey new",)
        with pytest.raises(UnusableError, match="refuses the login"):
            client.version()
        place.write_text("ApiKey new")
        assert client.version().opensearch

    @pytest.mark.parametrize(
        ("url", "auth", "message"),
        [
            ("http://elastic:secret@127.0.0.1:9200", None, "has a login in it"),
            ("ftp://host", None, "write https://HOST:PORT"),
            ("http://", None, "write https://HOST:PORT"),
            ("http://host:port:x", None, "write https://HOST:PORT"),
            ("http://search:9200", "env:LOGIN", "http:// would send the login to search for all to read"),
            ("https://search:9200", "user:secret", "takes no secret, but its place"),
        ],
    )
    def test_what_cannot_be_is_said_and_never_quoted(self, url: str, auth: str | None, message: str) -> None:
        with pytest.raises(UnusableError, match=message) as raised:
            SearchServer(url, auth)
        assert "secret" not in str(raised.value).replace("takes no secret", "")

    def test_a_file_that_is_no_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("not one")
        with pytest.raises(UnusableError, match="is no file of PEM certificates"):
            SearchClient(SearchServer("https://localhost:1", ca=str(tmp_path / "ca.pem")))


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = folder / "lab.pem"
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(made.public_bytes(pem) + private)
    return path


def test_an_authority_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGIN", SECRET)
    path = certificate(tmp_path)
    with serving(Kept(), path) as kept:
        kept.logins = tuple(credentials("env:LOGIN").values())
        server = SearchServer(kept.url, "env:LOGIN", str(path))
        assert Writer(SearchClient(server)).write(documents(3)) == Written(stored=3)
        with pytest.raises(UnusableError, match=r"the certificate of .* is not trusted: name its authority with"):
            SearchClient(SearchServer(kept.url)).version()


def test_nobody_there(kept: Kept) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        SearchClient(SearchServer("http://127.0.0.1:1")).version()


class TestTransform:
    def test_lists_of_documents_go_in_and_counts_come_out(self, kept: Kept) -> None:
        bad = Document("logs-x", "bad", b'{"dst_ip_addr":"bad"}')
        with TestPipeline() as pipeline:
            given = [documents(30), [*documents(30), bad], []]
            written = (
                pipeline
                | beam.Create(given, reshuffle=False)
                | WriteToSearchIndex(SearchServer(kept.url), 5, Limits(documents=7))
            )
            total = written | beam.CombineGlobally(lambda parts: sum(parts, Written()))
            refused = [Refused(bad, "mapper_parsing_exception", "dst_ip_addr (ip)")]
            assert_that(
                total | beam.Map(lambda found: (found.stored + found.superseded, found.refused)),
                equal_to([(60, refused)]),
            )
        assert len(kept.documents) == 30
