"""A search server over plain HTTP: OpenSearch 1 to 3 and Elasticsearch 6 to 9, its version, and who asks."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from huntbeam.schemas.errors import UnusableError

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONNECT, READ = 10.0, 120.0  # seconds
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UNAUTHORIZED = 401


class Unreachable(Exception):  # noqa: N818 - it reads as what it says
    """The server does not answer; it may later."""


@dataclass(frozen=True)
class SearchServer:
    """Where a server is, and where its secrets are: they are read by who connects, and never stand in here.

    `auth` is `env:NAME` or `file:PATH`; the variable or the file holds `USER:PASSWORD`, or `ApiKey KEY` with the key as
    the server gave it out, encoded or as `ID:KEY`. `ca` is a PEM file of authorities to trust in place of the system's.
    Raises UnusableError for what cannot be; the message never quotes the URL, which may hold a password.
    """

    url: str
    auth: str | None = None
    ca: str | None = None

    def __post_init__(self) -> None:
        """Checks what can be checked without connecting."""
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host:
            raise UnusableError("the URL of the search server cannot be used: write https://HOST:PORT")
        if parts.username is not None or parts.password is not None:
            raise UnusableError(
                "the URL of the search server has a login in it, which others could read: name its place with "
                "--index_auth env:NAME or file:PATH"
            )
        if self.auth is not None and not re.fullmatch(r"(env|file):.+", self.auth):
            raise UnusableError("--index_auth takes no secret, but its place: write env:NAME or file:PATH")
        if self.auth is not None and parts.scheme == "http" and host not in _LOOPBACK:
            raise UnusableError(f"http:// would send the login to {host} for all to read: write https://")


class Version(NamedTuple):
    """What answers."""

    opensearch: bool
    major: int
    minor: int

    @property
    def document_type(self) -> str | None:
        """The type that every document had up to Elasticsearch 6."""
        return None if self.opensearch or self.major > 6 else "doc"

    @property
    def composable(self) -> bool:
        """Whether it has `_index_template`, else `_template`."""
        return self.opensearch or (self.major, self.minor) >= (7, 8)

    def __str__(self) -> str:
        """As people say it."""
        return f"{'OpenSearch' if self.opensearch else 'Elasticsearch'} {self.major}.{self.minor}"


class Answer(NamedTuple):
    """An HTTP status and the body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body, if it is JSON, else None."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    def error(self) -> str:
        """The server's name for what is wrong, and its reason in short; for what a person asked, not for documents."""
        found = self.json()
        error = found.get("error") if isinstance(found, dict) else None
        if isinstance(error, dict):
            error = f"{error.get('type')}: {error.get('reason')}"
        text = "".join(c if c.isprintable() else " " for c in str(error or ""))[:300]
        return f"status {self.status}{', ' if text else ''}{text}"


def credentials(reference: str | None) -> dict[str, str]:
    """The header of a login, from the place that `auth` names. Raises UnusableError, which never quotes the login."""
    if reference is None:
        return {}
    secret = _secret(reference)
    kind, _, key = secret.partition(" ")
    if kind.lower() == "apikey" and key.strip():
        key = key.strip()
        return {"authorization": f"ApiKey {_base64(key) if ':' in key else key}"}
    if ":" not in secret:
        raise UnusableError(f"--index_auth {reference}: it holds neither USER:PASSWORD nor `ApiKey KEY`")
    return {"authorization": f"Basic {_base64(secret)}"}


def _secret(reference: str) -> str:
    kind, _, place = reference.partition(":")
    if kind == "env":
        if not os.environ.get(place):
            raise UnusableError(f"--index_auth {reference}: the variable is not set where this runs; set it there")
        return os.environ[place].strip()
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnusableError(f"--index_auth {reference} cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError:
        raise UnusableError(f"--index_auth {reference} is no UTF-8 text: save it as UTF-8") from None


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


class SearchClient:
    """Connections to a server. Cannot be pickled, and holds the login: never print it."""

    def __init__(self, server: SearchServer, headers: Mapping[str, str] | None = None) -> None:
        self.server = server
        self._more = dict(headers or {})
        self._login = credentials(server.auth)
        self._pool = _pool(server)

    def __repr__(self) -> str:
        """Without the login."""
        return f"SearchClient({self.server!r})"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks once; again, when a login was refused and its place holds another by now.

        Raises Unreachable, UnusableError for a certificate that is not trusted or a login that is refused.
        """
        answer = self._ask(method, path, body, headers)
        if answer.status == _UNAUTHORIZED and (login := credentials(self.server.auth)) != self._login:
            self._login = login
            answer = self._ask(method, path, body, headers)
        if answer.status == _UNAUTHORIZED:
            place = f"the login in {self.server.auth}" if self.server.auth else "a request without a login"
            remedy = "check it" if self.server.auth else "name one with --index_auth env:NAME or file:PATH"
            raise UnusableError(f"{self.server.url} refuses {place}: {remedy}")
        return answer

    def version(self) -> Version:
        """What answers. Raises Unreachable, UnusableError for what is no search server, or too old a one."""
        answer = self.request("GET", "/")
        if answer.status in (429, 502, 503, 504):
            raise Unreachable(f"{self.server.url} is not ready (status {answer.status})")
        found = answer.json()
        said = found.get("version") if isinstance(found, dict) else None
        match = re.match(r"(\d+)\.(\d+)", str(said.get("number"))) if isinstance(said, dict) else None
        if not isinstance(said, dict) or match is None:
            raise UnusableError(f"{self.server.url} is neither OpenSearch nor Elasticsearch ({answer.error()})")
        version = Version(said.get("distribution") == "opensearch", int(match[1]), int(match[2]))
        if version.major < (1 if version.opensearch else 6):
            raise UnusableError(f"{self.server.url} is {version}: OpenSearch 1 or Elasticsearch 6 is the oldest")
        return version

    def close(self) -> None:
        """Lets go of the connections."""
        self._pool.clear()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None) -> Answer:
        from urllib3.exceptions import HTTPError

        try:
            answer = self._pool.request(
                method,
                self.server.url.rstrip("/") + path,
                body=body,
                headers={"content-type": "application/json", **self._more, **(headers or {}), **self._login},
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            if _distrusted(error):
                raise UnusableError(
                    f"the certificate of {self.server.url} is not trusted: name its authority with --index_ca FILE"
                ) from None
            raise Unreachable(f"{self.server.url} does not answer ({type(error).__name__})") from None
        return Answer(answer.status, answer.data)


def _pool(server: SearchServer) -> PoolManager:
    from urllib3 import PoolManager, Timeout

    if server.ca is not None:
        try:
            ssl.create_default_context(cafile=server.ca)
        except (OSError, ssl.SSLError):
            raise UnusableError(f"--index_ca {server.ca} is no file of PEM certificates: check the path") from None
    return PoolManager(
        num_pools=1,
        maxsize=4,
        cert_reqs="CERT_REQUIRED",
        ca_certs=server.ca,
        timeout=Timeout(connect=CONNECT, read=READ),
    )


def _distrusted(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        reason = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        cause = cause.__cause__ or reason or cause.__context__
    return False
