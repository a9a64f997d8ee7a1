"""Measured costs of this machine: where ``irsql calibrate`` leaves them, and the targets that carry them.

The costs that come with irsql are a calibration too, of another machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from irsql.ir import files
from irsql.ir.core import IRError
from irsql.ir.target import Costs, Target

FOLDER = "IRSQL_COSTS"
"""Environment variable: another folder for the files; where it is empty, only the costs that come with irsql count."""


def path_of(target: str) -> Path | None:
    """Where the costs of a target are looked for; None if nowhere."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return platformdirs.user_config_path("irsql") / "costs" / f"{target}.json"
    return Path(folder) / f"{target}.json" if folder else None


def calibrated(target: Target) -> Target:
    """The target with the costs that were measured on this machine, if they were.

    Raises
    ------
    IRError
        If there is a file that holds no costs.
    """
    path = path_of(target.name)
    if path is None or not path.is_file():
        return target
    return target.with_costs(read(path))


def read(path: Path) -> Costs:
    """The costs in a file.

    Raises
    ------
    IRError
        If it holds none.
    """
    try:
        costs = Costs(**json.loads(path.read_text("utf-8")))
        costs.verify()
    except OSError as error:
        raise IRError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise IRError(f"{path} holds no costs of a target: run irsql calibrate again, or remove it") from error
    return costs


def write(costs: Costs, path: Path) -> None:
    """Write costs to a file, whole or not at all; its folder is made where it is missing.

    Raises
    ------
    OSError
        With the name of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(costs.as_dict(), indent=1) + "\n")
