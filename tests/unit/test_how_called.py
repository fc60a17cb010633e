"""How Darkroom is called: what is printed can be typed as printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.cli.how_called import how_called


def _program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_by_its_name_where_a_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(tmp_path / "bin" / "darkroom")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert how_called(program) == "darkroom"


def test_by_its_place_where_another_is_found_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(tmp_path / "checkout" / ".venv" / "bin" / "darkroom")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "checkout")
    assert how_called(program) == ".venv/bin/darkroom"
    _program(tmp_path / "bin" / "darkroom")
    assert how_called(program) == ".venv/bin/darkroom"
    monkeypatch.chdir(tmp_path / "bin")
    assert how_called(program) == program


def test_a_place_with_a_blank_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(tmp_path / "my checkout" / "darkroom")
    monkeypatch.setenv("PATH", "")
    assert how_called(program) == f"'{program}'"


def test_as_a_module_where_it_was_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = _program(tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert how_called("/src/darkroom/__main__.py", python) == ".venv/bin/python -m darkroom"
