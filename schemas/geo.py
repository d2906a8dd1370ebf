"""Where an address is, as an index wants it: `location` is a geo_point."""

from __future__ import annotations

import msgspec


class Location(msgspec.Struct, frozen=True, gc=False):
    """Coordinates in degrees."""

    lat: float
    lon: float


class Geo(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a GeoIP file says of an address; names are English."""

    country_code: str | None = None  # ISO 3166-1, two letters
    country: str | None = None
    city: str | None = None
    location: Location | None = None
