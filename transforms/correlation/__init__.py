"""Sigma correlations: which alerts a set of hits gives, in an archive and on the stream. Pure."""
