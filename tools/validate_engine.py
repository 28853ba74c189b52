"""Is the mechanism engine right, and how fast is it? Prints the figures of docs/validation/engine.md.

usage: python tools/validate_engine.py [hazard] [evidence] [joint] [design] [calibration] [speed]     all of them by default
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dynamics"))

import figures

REAL = Path(os.environ.get("REMANENT_REAL", Path(__file__).parents[2] / "shared" / "real"))
Rows = Iterable[tuple[str, figures.Figures]]


def hazard() -> Rows:
    """Assumed density against sampling, by hazard."""
    for one in figures.HAZARDS:
        name = f"h0 = {one['h0']}/day, eta_f = {one['eta_f']}"
        yield f"{name}: importance sampling", figures.hazard_against_importance(one, patients=16, draws=100_000)
        yield f"{name}: steps an eighth as long", figures.hazard_grid_error(one)
    for one in figures.HAZARDS[2:]:
        name = f"h0 = {one['h0']}/day, eta_f = {one['eta_f']}"
        yield f"{name}: particle filter", figures.hazard_against_particles(one, patients=10, particles=100_000, runs=2)


def evidence() -> Rows:
    """Laplace evidence against importance sampling."""
    yield "40 patients", figures.laplace_against_importance(patients=40, draws=8000)


def joint() -> Rows:
    """The classical joint model on the PBC data."""
    path = REAL / "pbc2" / "pbc2.csv"
    return figures.joint_models(path).items() if path.is_file() else [(f"SKIPPED: {path} is absent", {})]


def design() -> Rows:
    """What designs that cannot tell do to the probabilities."""
    yield from figures.mechanisms_by_design(cohorts=6, patients=24).items()


def calibration() -> Rows:
    """Ranks of true parameters in the Laplace posterior."""
    yield "100 cohorts of 30 patients", figures.calibration_of_parameters(replicates=100, patients=30)


def speed() -> Rows:
    """Milliseconds."""
    yield "12 visits x 8 indicators", figures.speed()


SECTIONS: dict[str, Callable[[], Rows]] = {f.__name__: f for f in (hazard, evidence, joint, design, calibration, speed)}


def main(wanted: list[str]) -> None:
    """Print each section as rows of a table."""
    for section in wanted or SECTIONS:
        for name, values in SECTIONS[section]():
            print(f"\n{section}: {name}", flush=True)
            for key, value in values.items():
                print(f"  {key:48s} {value:11.5g}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
