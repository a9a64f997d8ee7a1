"""A package with one pass for irsql: ``delay-scale``."""
