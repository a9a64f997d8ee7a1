"""The dispatch table: operator overload to the function that imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Handler = Callable[..., Any]
"""``(context, *args, **kwargs) -> value or tuple of values``; arguments are the node's, nodes replaced by values."""

HANDLERS: dict[Any, Handler] = {}
"""Operator overload to handler, filled by :func:`register`."""

HandlerT = TypeVar("HandlerT", bound=Handler)


def register(*targets: Any) -> Callable[[HandlerT], HandlerT]:
    """Make the decorated function import the given operator overloads."""

    def wrap(handler: HandlerT) -> HandlerT:
        for target in targets:
            if target in HANDLERS:
                raise ValueError(f"{target} has two importers")
            HANDLERS[target] = handler
        return handler

    return wrap
