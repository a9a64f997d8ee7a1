"""What a model database says of itself."""

from __future__ import annotations

import os

from irsql.runtime.errors import UserError
from irsql.runtime.load import FORMAT, digest_of
from irsql.targets.control import META, MODEL
from irsql.targets.driver import Driver
from irsql.targets.program import Program


def facts_of(db: Driver, path: str | os.PathLike[str]) -> dict[str, str]:
    """The facts of a model database.

    Raises
    ------
    UserError
        If it is none, or of another format.
    """
    if META not in db.tables(MODEL):
        raise UserError(f"{path} is a database, but not one that irsql loaded a model into")
    facts = dict(db.rows(db.control.read(META, ("key", "value"), MODEL)))
    if facts.get("format") != FORMAT:
        raise UserError(f"{path} has the format {facts.get('format')}, this irsql reads {FORMAT}: load the model again")
    if "program" not in facts:
        raise UserError(f"{path} is damaged: it holds no program; load the model again")
    return facts


def program_of(facts: dict[str, str], path: str | os.PathLike[str]) -> Program:
    """The program among the facts of a model database.

    Raises
    ------
    UserError
        If they are damaged.
    """
    try:
        program = Program.from_json(facts["program"])
    except ValueError as error:
        raise UserError(f"{path} holds {error}") from error
    if facts.get("digest") != digest_of(facts):
        raise UserError(f"{path} is damaged: it does not say what was loaded; load the model again")
    return program
