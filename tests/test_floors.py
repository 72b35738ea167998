"""The house: imports go down only, heavy ones stay out of light commands, files stay small."""

import ast
import sys
from pathlib import Path

import pytest

import llmcli

PACKAGE = Path(llmcli.__file__).parent
FLOOR = {"core": 0, "checkpoint": 1, "engine": 2, "views": 3, "bench": 3, "cli": 4}
ANYONE = {"errors", "reports"}
# What each floor may import from outside the standard library.
LIBRARIES = {
    "core": {"torch"},
    "checkpoint": {"torch", "safetensors", "tokenizers", "jinja2", "huggingface_hub"},
    "engine": {"torch", "llguidance"},
    "views": {"torch"},
    "bench": {"torch"},
    "cli": {"typer", "rich", "prompt_toolkit", "markdown_it", "yaml"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "demo" not in path.parts)


def imported(path: Path) -> set[str]:
    """Dotted names of all that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor_of(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    here = floor_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "llmcli" or here is None or parts[1] in ANYONE or len(parts) == 2:
            continue
        there = parts[1]
        assert FLOOR[there] < FLOOR[here] or there == here, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_floor_keeps_to_its_libraries(path: Path) -> None:
    here = floor_of(path)
    allowed = {"llmcli", *sys.stdlib_module_names} | (LIBRARIES[here] if here else set())
    strangers = {name.split(".")[0] for name in imported(path)} - allowed
    assert not strangers, f"{path} imports {strangers}"


def test_the_walk_sees_the_whole_package() -> None:
    assert {floor_of(path) for path in MODULES} >= set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_have_one_job(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it knows"


def test_pickles_are_never_opened() -> None:
    for path in MODULES:
        assert "torch.load(" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("folder", ["tests", "training", "benchmarks"])
def test_files_around_the_package_are_small_too(folder: str) -> None:
    for path in (PACKAGE.parent / folder).rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, path
