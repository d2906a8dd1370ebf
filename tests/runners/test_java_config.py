"""--kafka_config for Java's client: what it says, what it hides, and stores that Java reads."""

from __future__ import annotations

import datetime
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.kafka.java_config import _escaped, _quoted, java_config
from huntbeam.schemas.errors import UnusableError

PASSWORD = "pa\"ss\\ w'ö=#;}${x}😀"  # noqa: S105 - the test\'s own
SASL = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "ada"}


class Pems(NamedTuple):
    """An authority, a client's certificate and key, the key once more encrypted."""

    authority: Path
    certificate: Path
    key: Path
    encrypted: Path


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    folder = tmp_path_factory.mktemp("pems")
    authority_key, client_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("lab authority", authority_key, "lab authority", authority_key)
    client = certificate("client", client_key, "lab authority", authority_key)
    paths = Pems(folder / "ca.pem", folder / "client.pem", folder / "client.key", folder / "encrypted.key")
    paths.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    paths.certificate.write_bytes(client.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM))
    plain, locked = NoEncryption(), BestAvailableEncryption(PASSWORD.encode())
    paths.key.write_bytes(client_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain))
    paths.encrypted.write_bytes(client_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return paths


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number()).public_key(key.public_key())
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def secrets_of(folder: Path) -> dict[str, str]:
    """The secrets as Java's Properties read them: UTF-16 code units, one escape each."""
    found = {}
    for line in (folder / "secrets.properties").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition("=")
        units = b"".join(
            (int(code, 16) if code else ord(plain)).to_bytes(2, "big")
            for code, plain in re.findall(r"\\u([0-9a-f]{4})|([^\\])", value)
        )
        found[name] = units.decode("utf-16-be")
    return found


def test_without_secrets_there_are_only_names_and_no_folder(tmp_path: Path) -> None:
    properties = {
        "group.id": "g",
        "fetch.wait.max.ms": "100",
        "fetch.message.max.bytes": "5",
        "auto.offset.reset": "smallest",
        "debug": "all",
    }
    assert java_config("b:9092", properties, tmp_path / "private") == {
        "bootstrap.servers": "b:9092",
        "security.protocol": "PLAINTEXT",
        "group.id": "g",
        "fetch.max.wait.ms": "100",
        "max.partition.fetch.bytes": "5",
        "auto.offset.reset": "earliest",
    }
    assert list(tmp_path.iterdir()) == []


def test_a_login_is_in_the_private_file_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir(mode=0o755)
    config = java_config("b:9092", SASL | {"sasl.password": PASSWORD}, folder)
    assert config == {
        "bootstrap.servers": "b:9092",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f"${{file:{folder}/secrets.properties:sasl.jaas.config}}",
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
    }
    jaas = secrets_of(folder)["sasl.jaas.config"]
    module, _, options = jaas.partition(" required ")
    assert module == "org.apache.kafka.common.security.scram.ScramLoginModule"
    assert options == 'username="ada" password="pa\\"ss\\\\ w\'ö=#;}${x}😀";'
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(p.name, stat.S_IMODE(p.stat().st_mode)) for p in folder.iterdir()] == [("secrets.properties", 0o600)]


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_escapes_of_properties_are_plain_ascii_in_one_line(text: str) -> None:
    escaped = _escaped(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\u[0-9a-f]{4})*", escaped)
    assert escaped.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16") == text


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_quotes_end_where_they_should(text: str) -> None:
    quoted = _quoted(text)
    assert re.fullmatch(r'"(?:[^"\\\r\n]|\\["\\rn])*"', quoted)
    plain = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\r": "\r"}
    assert re.sub(r'\\["\\rn]', lambda match: plain[match[0]], quoted[1:-1]) == text


@pytest.mark.parametrize("encrypted", [False, True])
def test_pem_files_become_stores(tmp_path: Path, pems: Pems, encrypted: bool) -> None:
    properties = {
        "security.protocol": "ssl",
        "ssl.ca.location": str(pems.authority),
        "ssl.certificate.location": str(pems.certificate),
        "ssl.key.location": str(pems.encrypted if encrypted else pems.key),
        "ssl.key.password": PASSWORD,
        "ssl.endpoint.identification.algorithm": "none",
    }
    config = java_config("b:9093", properties, tmp_path)
    secrets = secrets_of(tmp_path)
    assert config["ssl.endpoint.identification.algorithm"] == ""
    assert {config["ssl.truststore.type"], config["ssl.keystore.type"]} == {"PKCS12"}
    assert not any(value in str(config) for value in (PASSWORD, *secrets.values()))
    assert secrets["ssl.truststore.password"] != secrets["ssl.keystore.password"]
    trusted = pkcs12.load_pkcs12(Path(config["ssl.truststore.location"]).read_bytes(), secrets_bytes(secrets, "trust"))
    assert [names(c.certificate) for c in trusted.additional_certs] == ["CN=lab authority"]
    kept = pkcs12.load_pkcs12(Path(config["ssl.keystore.location"]).read_bytes(), secrets_bytes(secrets, "key"))
    assert kept.cert is not None
    assert kept.key is not None
    assert kept.key.public_key() == kept.cert.certificate.public_key()
    assert [names(c.certificate) for c in (kept.cert, *kept.additional_certs)] == ["CN=client", "CN=lab authority"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


def secrets_bytes(secrets: dict[str, str], kind: str) -> bytes:
    return secrets[f"ssl.{kind}store.password"].encode()


def names(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no Java here, so no keytool to read the stores")
def test_java_reads_the_stores(tmp_path: Path, pems: Pems) -> None:
    properties = {
        "security.protocol": "ssl",
        "ssl.ca.location": str(pems.authority),
        "ssl.certificate.pem": pems.certificate.read_text(),
        "ssl.key.pem": pems.key.read_text(),
    }
    config = java_config("b:9093", properties, tmp_path)
    for kind, entry in (("truststore", "trustedCertEntry"), ("keystore", "PrivateKeyEntry")):
        command = ["keytool", "-list", "-storetype", "PKCS12", "-keystore", config[f"ssl.{kind}.location"]]
        password = secrets_of(tmp_path)[f"ssl.{kind}.password"]
        said = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, timeout=60)
        assert entry in said.stdout


def test_an_own_key_store_is_used_as_it_is(tmp_path: Path) -> None:
    properties = {
        "security.protocol": "ssl",
        "ssl.keystore.location": "own.p12",
        "ssl.keystore.password": PASSWORD,
    }
    config = java_config("b:9093", properties, tmp_path)
    assert (config["ssl.keystore.location"], config["ssl.keystore.type"]) == ("own.p12", "PKCS12")
    assert PASSWORD not in str(config)
    assert secrets_of(tmp_path) == {"ssl.keystore.password": PASSWORD}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"queued.min.messages": "1"}, "queued.min.messages has no counterpart in Java's Kafka client; leave it out"),
        ({"security.protocol": "tls"}, "security.protocol is one of"),
        ({"security.protocol": "sasl_ssl"}, "sasl.mechanism is one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        (SASL | {"sasl.mechanism": "GSSAPI"}, "sasl.mechanism is one of PLAIN"),
        (SASL, "SCRAM-SHA-512 needs sasl.password; add it"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/none.pem"}, "ssl.ca.location /none.pem cannot be read"),
        ({"security.protocol": "ssl", "ssl.ca.pem": "x"}, "ssl.ca.pem holds no certificate"),
        ({"security.protocol": "ssl", "ssl.ca.pem": "-----BEGIN CERTIFICATE-----"}, "holds a damaged certificate"),
        ({"enable.ssl.certificate.verification": "false"}, "has no counterpart"),
    ],
)
def test_what_java_has_not_is_refused(tmp_path: Path, properties: dict[str, str], said: str) -> None:
    with pytest.raises(UnusableError, match=re.escape(said)):
        java_config("b:9092", properties, tmp_path / "private")
    assert list(tmp_path.iterdir()) == []


def test_keys_that_do_not_fit_are_refused_without_their_password(tmp_path: Path, pems: Pems) -> None:
    properties = {
        "security.protocol": "ssl",
        "ssl.certificate.location": str(pems.certificate),
        "ssl.key.location": str(pems.encrypted),
    }
    with pytest.raises(UnusableError, match=r"is encrypted; add ssl\.key\.password"):
        java_config("b:9093", properties, tmp_path)
    with pytest.raises(UnusableError, match="password is its") as refused:
        java_config("b:9093", properties | {"ssl.key.password": "hidden-value"}, tmp_path)
    assert "hidden-value" not in str(refused.value)
    other = properties | {"ssl.certificate.location": str(pems.authority), "ssl.key.location": str(pems.key)}
    with pytest.raises(UnusableError, match="is of another key"):
        java_config("b:9093", other, tmp_path)


def test_a_folder_that_java_cannot_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"has a : or \} in its name"):
        java_config("b:9092", SASL | {"sasl.password": "x"}, tmp_path / "a:b")
