"""Shared by all tests: where real model files may lie, and the oracle's table of errors.

Puts tests/ on the import path for its own modules.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real model files that lie beside the repository on some machines."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real model files beside this repository")
    return SHARED_DATA


# Model and shape -> path through the forward pass -> largest relative error of its logits.
OracleErrors = dict[str, dict[str, float]]
_ERRORS = pytest.StashKey[OracleErrors]()


@pytest.fixture(scope="session")
def oracle_errors(pytestconfig: pytest.Config) -> OracleErrors:
    """Errors against the reference noted here are printed when the run ends."""
    return pytestconfig.stash.setdefault(_ERRORS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    errors = terminalreporter.config.stash.get(_ERRORS, {})
    if not errors:
        return
    terminalreporter.section("largest relative error of the logits against the reference")
    paths = list(next(iter(errors.values())))
    terminalreporter.write_line(f"{'model and shape':32}" + "".join(f"{p:>10}" for p in paths))
    for name, row in errors.items():
        terminalreporter.write_line(f"{name:32}" + "".join(f"{row[p]:>10.1e}" for p in paths))
    worst = max(value for row in errors.values() for value in row.values())
    terminalreporter.write_line(f"largest of all: {worst:.2e}")
