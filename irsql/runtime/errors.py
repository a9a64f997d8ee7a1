"""Errors that a user can do something about."""

from __future__ import annotations


class UserError(Exception):
    """Something cannot be done as asked; the message is one clear sentence, all that the command prints."""
