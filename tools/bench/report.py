"""The numbers of a benchmark run as tables."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

GOALS = {"compile": 60.0, "compile rss": 2 << 30, "load": 100e6, "rss": 1 << 30, "prefill": 0.4e9, "decode": 0.2e9,
         "statements": 10}
"""What two cores should reach: seconds and bytes of memory to compile, bytes loaded a second, bytes of memory above the
largest tensor, multiply-adds a second and core, statements a layer; for the default shape with 8 layers.
"""
SHOWN_PARTS = 8


def show(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the table of speeds, and what each step spends its time on."""
    out = console or Console(width=None if sys.stdout.isatty() else 110)
    table = Table("what", "time", "speed", "without head", "goal", title="irsql on " + result.get("engine", "DuckDB"),
                  caption=f"{result['machine']}; {result['threads']} threads; {result['date']}")
    for row in rows(result):
        table.add_row(*row)
    out.print(table)
    for name, step in result.get("steps", {}).items():
        parts = list(step["parts"].items())[:SHOWN_PARTS]
        total = sum(step["parts"].values()) or 1.0
        out.print(f"{name}: " + ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in parts), highlight=False)


def rows(result: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Rows of the table of speeds."""
    out: list[tuple[str, str, str, str, str]] = []
    if "compile" in result:
        compiled = result["compile"]
        seconds = compiled["capture_s"] + compiled["compile_s"]
        out.append(("compile Llama-3-8B", _time(seconds), "", "", _goal(-seconds, -GOALS["compile"], "60 s")))
        memory = compiled["peak_rss_bytes"]
        reached = _goal(-memory, -GOALS["compile rss"], "2048 MB")
        out.append(("  peak memory", "", f"{memory / 2**20:.0f} MB", "", reached))
    if "load" in result:
        load = result["load"]
        rate = load["source_bytes"] / load["load_s"]
        above = load["peak_rss_bytes"] - load["largest_bytes"]
        reached = _goal(rate, GOALS["load"], "100 MB/s")
        out.append(("load", _time(load["load_s"]), f"{rate / 1e6:.0f} MB/s", "", reached))
        out.append(("  compile before it", _time(load["compile_s"]), "", "", ""))
        out.append(("  peak memory above the largest tensor", "", f"{above / 2**20:.0f} MB", "",
                    _goal(-above, -GOALS["rss"], "1024 MB")))
    for name, step in result.get("steps", {}).items():
        goal = GOALS[name.split()[0]]
        out.append((name, _time(step["seconds"]), f"{step['rate'] / 1e9:.3f} GMAC/s/core",
                    f"{step['rate_without_head'] / 1e9:.3f}", _goal(step["rate"], goal, f"{goal / 1e9:.1f}")))
    if "statements_per_layer" in result:
        count = result["statements_per_layer"]
        out.append(("statements a layer, decode", "", str(count), "", _goal(-count, -GOALS["statements"], "10")))
    return out if result.get("has_goals", True) else [(*row[:-1], "") for row in out]


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _goal(value: float, goal: float, text: str) -> str:
    return f"{text} {'✓' if value >= goal else '✗'}"
