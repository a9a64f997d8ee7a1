"""What README.md shows of the Python API and the commands runs as shown."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = ROOT / "irsql" / "data" / "demo"


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def code(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_python_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path))
    module = runpy.run_path(str(ROOT / "docs/examples/gate.py"))["Gate"]().eval()
    x = torch.randn(3, 8)
    names: dict[str, Any] = {"module": module, "x": x}
    source = code(section("From Python"), "python").replace("path/to/llama", str(DEMO))
    exec(compile(source, "README.md", "exec"), names)
    story = capsys.readouterr().out
    assert len(story.split()) > 10
    torch.testing.assert_close(torch.as_tensor(names["compiled"](x)), module(x).detach())
    for size in (0, 1, 7):
        other = torch.randn(size, 8)
        torch.testing.assert_close(torch.as_tensor(names["compiled"](other)), module(other).detach())
    assert "rel.join" in names["compiled"].ir("rel")
    assert "SELECT" in str(names["compiled"].sql)
    assert names["sequence"].logits().shape == (1536,)
    names["model"].close()


def run(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120,
                          env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_file_runs() -> None:
    pytest.importorskip("torch")
    assert "SELECT" in run(str(ROOT / "docs/examples/gate.py"))


def test_the_commands_and_their_flags_exist() -> None:
    lines = code(section("From the command line"), "").splitlines()
    found = {line.split()[1] for line in lines if line.startswith("irsql ")}
    assert found == {"bench", "chat", "compile", "encode", "explain", "generate", "load", "profile", "sequences",
                     "view"}  # fmt: skip
    for command in sorted(found):
        for line in lines:
            if line.startswith(f"irsql {command}"):
                inner = [line.split()[2]] if command == "sequences" else []
                shown = run("-m", "irsql.tools.cli", command, *inner, "--help")
                for flag in re.findall(r"--[\w-]+", line):
                    assert flag in shown, f"irsql {command} has no {flag}"


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
