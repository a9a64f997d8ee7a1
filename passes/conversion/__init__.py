"""Passes from one stage to the next."""
