"""Where a model is in PostgreSQL: ``postgresql://USER@HOST/DATABASE#SCHEMA``, or the folder of an embedded server."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import attrs

from irsql.targets.control import MODEL
from irsql.targets.errors import EngineError
from irsql.targets.postgres_server import Server


@attrs.frozen
class Place:
    """A schema of a server.

    Attributes
    ----------
    address
        What the client library connects to.
    schema
        The schema of the model.
    shown
        What to call it in a message: without a password.
    """

    address: str
    schema: str
    shown: str = "the PostgreSQL server"

    @classmethod
    def of(cls, text: str, server: Server | None) -> Place:
        """The place that a text names.

        Parameters
        ----------
        text
            An address, or a folder.
        server
            The server in that folder.

        Raises
        ------
        EngineError
            If the name of the schema cannot be one.
        """
        if server is not None:
            return cls(server.address, MODEL, text)
        base, _, fragment = text.partition("#")
        schema = unquote(fragment) or MODEL
        if "\0" in schema or len(schema.encode()) > 63 or schema.startswith("pg_"):
            raise EngineError(f"a schema has a name of at most 63 bytes that does not begin with pg_, not {schema!r}")
        return cls(base, schema, _without_password(text))


    def with_schema(self) -> str:
        """The address with the name of the schema."""
        return f"{self.address}#{quote(self.schema, safe='')}"


def _without_password(text: str) -> str:
    try:
        password = urlsplit(text).password
    except ValueError:
        password = None
    return text.replace(f":{password}@", "@", 1) if password else text
