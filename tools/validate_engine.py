"""Is the mechanism engine right, and how fast is it? Prints the figures of docs/validation/engine.md.

usage: python tools/validate_engine.py [SECTION ...] [--cohorts N]     all sections by default: hazard evidence sampling left_out joint mechanisms
       mimicry bump trace calibration speed. N: simulated cohorts of each kind (default 20; calibration: 25 times as many).
       `speed` also draws docs/validation/speed.svg.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dynamics"))

import figures
import matplotlib.pyplot as plt
import recovery

from remanent.dynamics.sample import Plan
from remanent.stages.programs import compile_whole_loops

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("REMANENT_REAL", ROOT.parent / "shared" / "real"))
Rows = Iterable[tuple[str, figures.Figures]]


def hazard(_: int) -> Rows:
    """Assumed density against sampling, by hazard."""
    for one in figures.HAZARDS:
        name = f"h0 = {one['h0']}/day, eta_f = {one['eta_f']}"
        yield f"{name}: importance sampling", figures.hazard_against_importance(one, patients=16, draws=100_000)
        yield f"{name}: steps an eighth as long", figures.hazard_grid_error(one)
    for one in figures.HAZARDS[2:]:
        name = f"h0 = {one['h0']}/day, eta_f = {one['eta_f']}"
        yield f"{name}: particle filter", figures.hazard_against_particles(one, patients=10, particles=100_000, runs=2)


def evidence(_: int) -> Rows:
    """Laplace evidence against importance sampling."""
    yield "40 patients", figures.laplace_against_importance(patients=40, draws=8000)


def sampling(_: int) -> Rows:
    """Laplace moments and evidence against NUTS and bridge sampling."""
    yield "40 patients, 4 x (300 + 300)", figures.laplace_against_sampling(patients=40, plan=Plan(4, 300, 300))


def left_out(_: int) -> Rows:
    """Scores of patients left out, one Newton step away, against refits without them."""
    for patients in (12, 16, 20, 40):
        yield f"{patients} patients", figures.scores_against_refits(patients)


def joint(_: int) -> Rows:
    """The classical joint model on the PBC data."""
    path = REAL / "pbc2" / "pbc2.csv"
    return figures.joint_models(path).items() if path.is_file() else [(f"SKIPPED: {path} is absent", {})]


def mechanisms(cohorts: int) -> Rows:
    """Confusion matrices by design."""
    for patients, scans, tapers in product((40, 120, 300), (3, 7), (True, False)):
        design = f"{patients} patients, {scans} scans, {'tapers' if tapers else 'constant doses'}, {cohorts} cohorts"
        for truth, found in recovery.confusion(patients, scans, tapers=tapers, cohorts=cohorts).items():
            yield f"{design}: truth {truth}", found


def mimicry(_: int) -> Rows:
    """What tells dual from passive once passive's parameters may give way."""
    for patients in (40, 300):
        yield f"{patients} patients, 7 scans, tapers", recovery.mimicked(patients, 7)


def bump(cohorts: int) -> Rows:
    """Withdrawal symptoms alone must not be forecast as relapse."""
    yield f"40 patients, {cohorts} cohorts", recovery.withdrawal_alone(40, range(cohorts))


def trace(cohorts: int) -> Rows:
    """An imaging trace of ECT alone must not move structure."""
    yield f"40 patients, {cohorts} cohorts", recovery.trace_alone(40, range(cohorts))


def calibration(cohorts: int) -> Rows:
    """Ranks of true parameters in the Laplace posterior and in the exact one."""
    yield from figures.calibration_of_parameters(replicates=25 * cohorts, patients=16).items()


def speed(_: int) -> Rows:
    """Milliseconds of a likelihood and its gradient, seconds of a fit."""
    sizes = (10, 30, 100, 200, 300, 1000, 3000, 10_000)
    found = figures.speed(sizes)
    _draw_speed({n: found[f"{n} patients, value and gradient (ms)"] for n in sizes})
    yield "12 visits x 8 indicators", found
    yield "200 patients, 12 visits x 8 indicators, MAP + Laplace", figures.speed_of_fits(200)
    yield "the same with 4 random effects, NUTS 4 x (1000 + 1000)", figures.speed_of_sampling(200, Plan())


def _draw_speed(milliseconds: dict[int, float]) -> None:
    figure, axis = plt.subplots(figsize=(5, 3.4), layout="constrained")
    axis.loglog(list(milliseconds), list(milliseconds.values()), "o-", label="measured")
    last, slowest = max(milliseconds), milliseconds[max(milliseconds)]
    axis.loglog([100, last], [slowest * 100 / last, slowest], "--", color="grey", label="proportional to patients")
    axis.set(
        xlabel="patients", ylabel="value and gradient (ms)", title="12 visits, 8 indicators, relapse on; two cores"
    )
    axis.legend(frameon=False)
    plt.rcParams["svg.hashsalt"] = "remanent"
    figure.savefig(ROOT / "docs" / "validation" / "speed.svg", metadata={"Date": None})


SECTIONS: dict[str, Callable[[int], Rows]] = {
    f.__name__: f
    for f in (hazard, evidence, sampling, left_out, joint, mechanisms, mimicry, bump, trace, calibration, speed)
}


def main() -> None:
    """Print each section as rows of a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--cohorts", type=int, default=20)
    options = parser.parse_args()
    compile_whole_loops()  # as every command does
    for section in options.sections or SECTIONS:
        for name, values in SECTIONS[section](options.cohorts):
            print(f"\n{section}: {name}", flush=True)
            for key, value in values.items():
                print(f"  {key:48s} {value:11.5g}", flush=True)


if __name__ == "__main__":
    main()
