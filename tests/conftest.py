"""Shared by all tests: where real model files may lie, and the oracle's table of errors.

Puts tests/ on the import path for its own modules.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Here and in the processes that tests start: models this small are done before a second thread
# has begun, and threads that wait for each other crawl where another program has a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Whoever runs the tests keeps their own defaults, history and sessions to themselves.
_OWN = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, _OWN, ignore_errors=True)
for _variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ[_variable] = str(_OWN / _variable.lower())

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


# Public checkpoint -> parameters as `inspect` counts them, and as published.
ParameterCounts = dict[str, tuple[int, int]]
_COUNTS = pytest.StashKey[ParameterCounts]()


@pytest.fixture(scope="session")
def parameter_counts(pytestconfig: pytest.Config) -> ParameterCounts:
    """Counts noted here are printed when the run ends."""
    return pytestconfig.stash.setdefault(_COUNTS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stash, write = terminalreporter.config.stash, terminalreporter.write_line
    errors, counts = stash.get(_ERRORS, {}), stash.get(_COUNTS, {})
    if counts:
        terminalreporter.section("parameters as inspect counts them, and as published")
        for name, (counted, published) in counts.items():
            write(f"{name:40}{counted:>16,}{published:>16,}")
    if errors:
        terminalreporter.section("largest relative error of the logits against the reference")
        paths = list(next(iter(errors.values())))
        write(f"{'model and shape':32}" + "".join(f"{path:>10}" for path in paths))
        for name, row in errors.items():
            write(f"{name:32}" + "".join(f"{row[path]:>10.1e}" for path in paths))
        worst = max(value for row in errors.values() for value in row.values())
        write(f"largest of all: {worst:.2e}")
