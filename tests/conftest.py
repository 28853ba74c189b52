"""Strict JAX, shape checks on every call (none while times are measured), programs compiled once for all workers, the small study run once for all of them, and
the real data where it lies beside the checkout."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest
from jaxtyping import install_import_hook

from remanent.stages.programs import set_up_compiler

set_up_compiler()  # as every run does: what one worker compiled, the others, their child processes and the next ./test read
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

if "--benchmark-only" not in sys.argv:
    install_import_hook(
        ["remanent.circuits", "remanent.treatment", "remanent.dynamics", "remanent.relapse", "remanent.plan"],
        "beartype.beartype",
    ).__enter__()

REAL = Path(os.environ.get("REMANENT_REAL", Path(__file__).parents[2] / "shared" / "real"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; a loud skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {REAL} (set REMANENT_REAL); nothing was checked against real input")
    return REAL


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The study of small.py run by the command, once for all workers: files and words (`Ran`), and `Results`; not to be changed."""
    from small import run_once

    own = tmp_path_factory.getbasetemp()
    return run_once(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
