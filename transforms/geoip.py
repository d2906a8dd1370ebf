"""Where an address is, by GeoIP files (.mmdb). Two shapes are read: MaxMind's, whose names are nested by language, and
the flat one of DB-IP's tables. Several files answer together: what the first does not know the next may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from threading import Lock
from typing import Any

import maxminddb
import msgspec

from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.geo import Geo, Location
from huntbeam.transforms.files import is_remote, local_copy

REMEMBERED = 65_536  # addresses; an attacker chooses them
LARGEST = 4 << 30  # bytes of a file in a bucket: what the format's own pointers reach
_LONGEST = 64
_NOWHERE = Geo()


class Locator:
    """Opened files, here or in a bucket.

    Raises UnusableError for one that cannot be opened, or is damaged where it is asked.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._readers = [(path, _open(path)) for path in paths]
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._look_up)

    def locate(self, address: str | None) -> Geo | None:
        """Where an address is; null for what is private or no address, and for what no file knows."""
        return self._remembered(address) if address and len(address) <= _LONGEST else None

    def _look_up(self, written: str) -> Geo | None:
        try:
            address = ip_address(written.strip())
        except ValueError:
            return None
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if not address.is_global or address.is_multicast:
            return None
        found = _NOWHERE
        for path, reader in self._readers:
            if address.version == 6 and reader.metadata().ip_version == 4:
                continue
            try:
                record = reader.get(address)
            except (maxminddb.InvalidDatabaseError, ValueError) as error:
                raise UnusableError(f"--geoip {path} is damaged ({error}): fetch it again") from error
            found = _joined(found, _geo(record)) if isinstance(record, Mapping) else found
        return None if found == _NOWHERE else found


def _open(path: str) -> maxminddb.Reader:
    try:
        return _fetched(path) if is_remote(path) else maxminddb.open_database(path)
    except OSError as error:
        raise UnusableError(f"--geoip {path} cannot be read ({error.strerror}): check its name and access") from error
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise UnusableError(f"--geoip {path} is no .mmdb file: name one of MaxMind's or DB-IP's") from error


def _fetched(path: str) -> maxminddb.Reader:
    """A reader looks at single pages of a file: it maps a copy here, which has no name any more and ends with it."""
    with local_copy(path, LARGEST) as copy:
        if Path(copy).stat().st_size > LARGEST:
            raise UnusableError(f"--geoip {path} is larger than {LARGEST:,} bytes: no .mmdb file is")
        return maxminddb.open_database(copy)


def _geo(record: Mapping[str, Any]) -> Geo:
    country = record.get("country")
    city = record.get("city")
    if isinstance(country, Mapping) or isinstance(city, Mapping):
        return _nested(record, country, city)
    return Geo(
        country_code=_text(record.get("country_code")),
        country=_text(record.get("country_name")) or _text(country),
        city=_text(city),
        location=_location(record),
    )


def _nested(record: Mapping[str, Any], country: Any, city: Any) -> Geo:
    country = country if isinstance(country, Mapping) else {}
    return Geo(
        country_code=_text(country.get("iso_code")),
        country=_english(country),
        city=_english(city),
        location=_location(record.get("location")),
    )


def _english(place: Any) -> str | None:
    names = place.get("names") if isinstance(place, Mapping) else None
    return _text(names.get("en")) if isinstance(names, Mapping) else None


def _location(of: Any) -> Location | None:
    if not isinstance(of, Mapping):
        return None
    try:
        lat, lon = float(of["latitude"]), float(of["longitude"])
    except (KeyError, TypeError, ValueError):
        return None
    return Location(lat, lon) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None


def _joined(first: Geo, second: Geo) -> Geo:
    """What the first does not know, the second says."""
    known = {name: value for name in Geo.__struct_fields__ if (value := getattr(first, name)) is not None}
    return msgspec.structs.replace(second, **known)


_opened: dict[tuple[str, ...], Locator] = {}
_opening = Lock()


def locator(paths: tuple[str, ...]) -> Locator:
    """The locator of some files, which are fetched and opened once a process."""
    with _opening:
        found = _opened.get(paths)
        if found is None:
            found = _opened[paths] = Locator(paths)
        return found
