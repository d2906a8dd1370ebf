"""PEM files as the PKCS12 stores that Java's client reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding

from huntbeam.schemas.errors import UnusableError


def trust_store(properties: Mapping[str, str], password: bytes) -> bytes:
    """The certificates of `ssl.ca.location` or `ssl.ca.pem` as authorities that Java trusts."""
    name, authorities = _certificates(properties, "ssl.ca")
    if not authorities:
        raise UnusableError(f"--kafka_config: {name} holds no certificate; name a PEM file with at least one")
    named = [
        pkcs12.PKCS12Certificate(certificate, f"ca-{number}".encode()) for number, certificate in enumerate(authorities)
    ]
    return pkcs12.serialize_java_truststore(named, BestAvailableEncryption(password))


def key_store(properties: Mapping[str, str], password: bytes) -> bytes:
    """The key of `ssl.key.location` and the chain of `ssl.certificate.location` (or their `.pem` forms)."""
    name, chain = _certificates(properties, "ssl.certificate")
    if not chain:
        raise UnusableError(f"--kafka_config: {name} holds no certificate; name the PEM file of the client's")
    key = _private_key(properties)
    if _public(key) != _public(chain[0]):
        raise UnusableError(f"--kafka_config: the first certificate of {name} is of another key; name the key's own")
    return pkcs12.serialize_key_and_certificates(b"client", key, chain[0], chain[1:], BestAvailableEncryption(password))


def _public(holder: pkcs12.PKCS12PrivateKeyTypes | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(KeyEncoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certificates(properties: Mapping[str, str], name: str) -> tuple[str, list[x509.Certificate]]:
    written, pem = _pem(properties, name)
    try:
        return written, x509.load_pem_x509_certificates(pem) if b"BEGIN CERTIFICATE" in pem else []
    except ValueError as error:
        raise UnusableError(f"--kafka_config: {written} holds a damaged certificate; name a PEM file") from error


def _private_key(properties: Mapping[str, str]) -> pkcs12.PKCS12PrivateKeyTypes:
    written, pem = _pem(properties, "ssl.key")
    password = properties.get("ssl.key.password", "").encode() or None
    if password and b"ENCRYPTED" not in pem:
        password = None  # librdkafka takes a password that no key needs as well
    try:
        key = load_pem_private_key(pem, password)
    except TypeError:  # its message is about the password
        raise UnusableError(f"--kafka_config: the key of {written} is encrypted; add ssl.key.password") from None
    except ValueError:
        raise UnusableError(
            f"--kafka_config: the key of {written} cannot be read; check that it is PEM and ssl.key.password is its"
        ) from None
    return key  # type: ignore[return-value]  # a DH key is none for TLS; serializing refuses it


def _pem(properties: Mapping[str, str], name: str) -> tuple[str, bytes]:
    """How the text is named for a message, and the text."""
    if inline := properties.get(f"{name}.pem"):
        return f"{name}.pem", inline.encode()
    path = properties.get(f"{name}.location")
    if not path:
        raise UnusableError(f"--kafka_config: {name}.location is missing; add it")
    try:
        return f"{name}.location {path}", Path(path).read_bytes()
    except OSError as error:
        raise UnusableError(
            f"--kafka_config: {name}.location {path} cannot be read ({error.strerror}); name a PEM file"
        ) from error
