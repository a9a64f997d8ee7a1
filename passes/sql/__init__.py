"""Passes on the logical SQL plan."""
