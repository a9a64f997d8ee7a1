"""What can go wrong in an engine, said to a user."""

from __future__ import annotations


class EngineError(Exception):
    """The engine refused or failed; the message is one clear sentence, the engine's own error is the cause."""
