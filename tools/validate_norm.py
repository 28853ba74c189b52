"""Are healthy people called unusual five times in a hundred? At a new site with few controls, ours beside PCNtoolkit where it is installed.

usage: python tools/validate_norm.py [--peer]     prints the tables of docs/validation/circuits.md

Ten reference sites of 80 healthy people (or three, or one); a new site has 2 to 30 controls and then healthy people of
its own. Sites differ in level by half a standard deviation of people and in spread by 15 %; age is curved and the spread
grows with it. `--peer` (GPL, own environment, a few minutes) draws other people by the same law and gives the same ones
to both.
"""

import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy import ndarray

from remanent.circuits.norm import add_site, learn_norm, z_values

CONTROLS = (0, 2, 3, 5, 10, 30)
FEATURES, EACH = 2, 80
DESIGNS = {
    "10 reference sites": (10, 1.0),
    "10, sites three times as different": (10, 3.0),
    "3 reference sites": (3, 1.0),
    "1 reference site (prior only)": (1, 1.0),
}
People = tuple[ndarray, ndarray, ndarray]
Site = tuple[ndarray, ndarray]
Z = Callable[[People, Sequence[str], People, People], ndarray]


def people(rng: np.random.Generator, n: int, site: Site) -> People:
    """Values [person, feature], ages (years) and sex of n healthy people of one site (its shift and its spread)."""
    age, sex = rng.uniform(18, 80, n), rng.integers(0, 2, n).astype(float)
    expected = 2 - 0.02 * age - 0.0002 * (age - 50) ** 2 + 0.3 * sex
    noise = rng.standard_normal((n, FEATURES)) * np.exp(0.005 * (age - 50))[:, None]
    return expected[:, None] + site[0] + site[1] * noise, age, sex


def a_site(rng: np.random.Generator, difference: float) -> Site:
    """Shift and spread of a site drawn at random."""
    shift, spread = rng.standard_normal((2, FEATURES))
    return 0.5 * difference * shift, np.exp(0.15 * difference * spread)


def reference(rng: np.random.Generator, sites: int, difference: float) -> tuple[People, list[str]]:
    """Everybody of the reference sites, and where they were scanned."""
    parts = [people(rng, EACH, a_site(rng, difference)) for _ in range(sites)]
    values, age, sex = (np.concatenate(column) for column in zip(*parts, strict=True))
    return (values, age, sex), [f"s{i}" for i in range(sites) for _ in range(EACH)]


def ours(known: People, sites: Sequence[str], controls: People, healthy: People) -> ndarray:
    """Normative z of healthy people of a new site, [person, feature]."""
    norm = learn_norm(*known, sites)
    if len(controls[0]):
        norm = add_site(norm, "new", *controls)
    return z_values(norm, *healthy, ["new"] * len(healthy[0]))


def rates(rng: np.random.Generator, sites: int, difference: float, norms: int, places: int) -> list[ndarray]:
    """Share beyond |z| 1.96 at each new site, for every number of controls; a norm is learnt once for all its sites."""
    found: list[list[float]] = [[] for _ in CONTROLS]
    for _ in range(norms):
        learnt = learn_norm(*(one := reference(rng, sites, difference))[0], one[1])
        for _ in range(places):
            place = a_site(rng, difference)
            for share, n in zip(found, CONTROLS, strict=True):
                norm = add_site(learnt, "new", *people(rng, n, place)) if n else learnt
                z = z_values(norm, *people(rng, 100, place), ["new"] * 100)
                share.append(float(np.mean(np.abs(z) > 1.96)))
    return [np.array(share) for share in found]


def pcntoolkit(known: People, sites: Sequence[str], controls: People, healthy: People) -> ndarray:
    """Normative z by PCNtoolkit: warped Bayesian linear regression with fixed batch effects, transferred to the new site's controls."""
    import pandas as pd
    from pcntoolkit import BLR, NormativeModel, NormData

    names = [f"f{i}" for i in range(FEATURES)]

    def data(title: str, group: People, where: Sequence[str]) -> NormData:
        frame = pd.DataFrame(dict(zip(names, group[0].T, strict=True)))
        frame = frame.assign(age=group[1], sex=np.where(group[2] > 0, "f", "m"), site=list(where))
        frame["who"] = [f"{title}{i}" for i in range(len(frame))]
        return NormData.from_dataframe(title, frame, ["age"], ["sex", "site"], names, "who")

    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        template = BLR(warp_name="WarpSinhArcsinh", fixed_effect=True)
        scaled = {"inscaler": "standardize", "outscaler": "standardize"}
        model = NormativeModel(template, save_dir=first, saveplots=False, saveresults=False, **scaled)
        model.fit(data("reference", known, sites))
        moved = model.transfer(data("controls", controls, ["new"] * len(controls[0])), save_dir=second)
        test = data("healthy", healthy, ["new"] * len(healthy[0]))
        moved.predict(test)
        return test.Z.to_numpy()


def beside(repeats: int) -> dict[str, dict[int, list[float]]]:
    """Share beyond |z| 1.96 of the same people by both programs: by program, by number of controls, over repeats."""
    methods: dict[str, Z] = {"ours": ours, "PCNtoolkit": pcntoolkit}
    found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in CONTROLS if n} for name in methods}
    for repeat in range(repeats):
        rng = np.random.default_rng(100 + repeat)
        (known, sites), place = reference(rng, 10, 1.0), a_site(rng, 1.0)
        for n in found["ours"]:
            controls, healthy = people(rng, n, place), people(rng, 200, place)
            controls[2][:2] = 0, 1  # the peer wants both sexes
            for name, z in methods.items():
                with contextlib.redirect_stdout(io.StringIO()):  # the peer talks
                    values = z(known, sites, controls, healthy)
                outside = ~(np.abs(values) <= 1.96)  # a z that is no number is no healthy person either
                found[name][n].append(float(np.mean(outside)))
    return found


def main() -> None:
    """Print the rates of ours; with --peer, of both on the same people."""
    if "--peer" in sys.argv:
        warnings.simplefilter("ignore")
        found = beside(12)
        print("| controls at the new site | " + " | ".join(map(str, found["ours"])) + " |")
        print("|---" * (len(found["ours"]) + 1) + "|")
        for name, by_number in found.items():
            cells = [f"{np.mean(x):.0%} ({np.min(x):.0%} to {np.max(x):.0%})" for x in by_number.values()]
            print(f"| {name} | " + " | ".join(cells) + " |")
        return
    print("| controls at the new site | " + " | ".join(map(str, CONTROLS)) + " |")
    print("|---" * (len(CONTROLS) + 1) + "|")
    for words, (sites, difference) in DESIGNS.items():
        shares = rates(np.random.default_rng(0), sites, difference, norms=40, places=25)
        cells = [f"{np.mean(x):.1%} ± {np.std(x) / np.sqrt(len(x)):.1%}" for x in shares]
        print(f"| {words} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
