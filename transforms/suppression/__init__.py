"""Suppression: one alert of a rule and group in a while, and a count of the others. Pure cores and their wirings."""
