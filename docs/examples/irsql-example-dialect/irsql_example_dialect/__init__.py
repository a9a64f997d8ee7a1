"""A package with one dialect for irsql, ``fourier``, and its way down to ``tir``."""
