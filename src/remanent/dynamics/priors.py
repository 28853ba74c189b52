"""Priors as data, and the map from the sampler's standard-normal coordinates to `Params`.

Every population parameter has a normal prior on its own scale (identity or log), so theta = (x - mean) / sd is standard normal a priori: posterior and
prior are compared coordinate by coordinate, and a coordinate whose variance stays 1 was not informed by the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Array, Float

from remanent.dynamics.indicators import Indicators
from remanent.dynamics.model import Params

Mechanism = Literal["natural", "passive", "active", "dual"]
MECHANISMS: tuple[Mechanism, ...] = ("natural", "passive", "active", "dual")
# Per mechanism: whether the passive gain and the active gain exist.
SWITCHES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
_PER_INDICATOR = ("mu", "sd_mu", "l_f", "l_s", "l_e", "sigma")
_LOAD_COLUMN = {"l_f": 0, "l_s": 1, "l_e": 2}

Theta = Float[Array, " param"]


@cache
def table() -> Mapping[str, Any]:
    """priors.yaml: centre, spread, unit, source and status of every prior."""
    return yaml.safe_load((files("remanent.dynamics") / "priors.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Layout:
    """Names, centres and spreads of the coordinates of theta for one set of indicators, [param]; hashable, so a compiled trace can belong to it.

    Attributes
    ----------
    names
        ``k_f``, ``p``, ... and ``l_f[hdrs24]`` for the parameters of an indicator.
    centre, spread
        Of the normal prior, on the parameter's own scale (log where `is_log`).
    loads
        Whether an indicator's loading on (f, s, e, w) is free, [indicator, 4].
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    is_log: tuple[bool, ...]
    loads: tuple[tuple[bool, ...], ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Coordinate of a parameter."""
        return self.names.index(name)


def layout(indicators: Indicators) -> Layout:
    """Coordinates of theta: the dynamics first, then each kind of parameter for all indicators."""
    rows = [(name, entry) for name, entry in table()["dynamics"].items()]
    for kind in _PER_INDICATOR:
        for j, name in enumerate(indicators.names):
            prior = table()["symptom" if indicators.is_symptom[j] else "feature"].get(kind)
            rows.append((f"{kind}[{name}]", prior or {"scale": "identity", "mean": 0.0, "sd": 1.0}))
    is_log = tuple(entry["scale"] == "log" for _, entry in rows)
    return Layout(
        names=tuple(name for name, _ in rows),
        centre=tuple(float(np.log(e["mean"]) if log else e["mean"]) for (_, e), log in zip(rows, is_log, strict=True)),
        spread=tuple(float(entry["sd"]) for _, entry in rows),
        is_log=is_log,
        loads=tuple(tuple(map(bool, row)) for row in indicators.loads),
    )


def to_params(theta: Theta, layout: Layout, switches: Float[Array, " 2"]) -> Params:
    """Natural-scale parameters; `switches` (passive, active) turns a mechanism on with 1 and off with 0 without a new trace."""
    is_log = np.array(layout.is_log)
    x = np.array(layout.centre) + np.array(layout.spread) * theta
    x = jnp.where(is_log, jnp.exp(jnp.where(is_log, x, 0.0)), x)
    loads = np.array(layout.loads, float).reshape(-1, 4)
    count = len(table()["dynamics"])
    d = dict(zip(layout.names[:count], x[:count], strict=True))
    per = dict(zip(_PER_INDICATOR, x[count:].reshape(len(_PER_INDICATOR), -1), strict=True))
    for name, column in _LOAD_COLUMN.items():
        per[name] = per[name] * loads[:, column]
    c = d["r"] * d["c_ratio"]
    return Params(
        k_f=d["k_f"],
        r=d["r"],
        c=c,
        a=switches[1] * c * d["a_ratio"],
        p=switches[0] * d["p"],
        sd_p=switches[0] * d["sd_p"],
        mu_gs=d["mu_gs"],
        sd_gs=d["sd_gs"],
        sd_gf=d["sd_gf"],
        sig_f=d["sig_f"],
        sig_s=d["sig_s"],
        b=jnp.stack([d["b_crp"], d["b_sleep"]]),
        omega=d["omega"],
        tau_w=d["tau_w"],
        tau_e=d["tau_e"],
        h0=d["h0"],
        eta_f=d["eta_f"],
        l_w=jnp.asarray(loads[:, 3]),
        **per,
    )
