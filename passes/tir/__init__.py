"""Passes on the tensor IR."""
