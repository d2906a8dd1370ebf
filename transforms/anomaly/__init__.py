"""Anomalies: rules on counters, first sightings, rarity and beacons. Pure."""
