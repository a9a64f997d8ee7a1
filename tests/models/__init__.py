"""Builders of the small models that tests of every level share."""
