"""Passes on relational algebra, before and after tiling."""
