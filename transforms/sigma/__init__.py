"""Sigma rules: read, mapped to Windows' sources, compiled to a plan of our own, and matched. Pure: no Beam in here."""
