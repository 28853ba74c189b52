"""Landmark rows with a known law of relapse."""

import numpy as np

from remanent.relapse.landmark import Landmarks


def made(
    n: int = 120, p: int = 6, seed: int = 0, *, effect: float = 1.0, sites: int = 1, gaps: float = 0.0
) -> Landmarks:
    """Exponential times whose log hazard is `effect` times the first feature; censoring by chance and at one year."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    time = rng.exponential(250 * np.exp(-effect * x[:, 0]))
    end = np.minimum(rng.uniform(60, 700, n), 364.0)
    x[rng.uniform(size=x.shape) < gaps] = np.nan
    names = ("severity_last", "exposure_total", *(f"scan_x{k}" for k in range(p - 2)))
    return Landmarks(
        names=names,
        x=x,
        circuit=np.array([k.startswith("scan_") for k in names]),
        patient=np.arange(n),
        day=np.zeros(n),
        site=np.array([f"s{k % sites}" for k in range(n)], object),
        time_days=np.minimum(time, end),
        event=time <= end,
    )
