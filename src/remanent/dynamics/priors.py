"""Priors as data, and the map from the sampler's standard-normal coordinates to `Params`.

Every population parameter has a normal prior on its own scale (identity or log), so theta = (x - mean) / sd is standard normal a priori: posterior and
prior are compared coordinate by coordinate, and a coordinate whose variance stays 1 was not informed by the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Array, Float

from remanent.dynamics.design import Design
from remanent.dynamics.model import FormName, Params

Mechanism = Literal["natural", "passive", "active", "dual"]
MECHANISMS: tuple[Mechanism, ...] = ("natural", "passive", "active", "dual")
# Per mechanism: whether the passive gain and the active gain exist.
SWITCHES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
_PER_INDICATOR = ("mu", "sd_mu", "l_f", "l_s", "l_e", "sigma")
_LOAD_COLUMN = {"l_f": 0, "l_s": 1, "l_e": 2}
_PER_CLASS, _PER_PLACEMENT = ("rho", "alpha"), ("ect_f", "ect_s", "ect_e")
_OF_THE_DYNAMICS = ("dynamics", "class", "placement", "reserve", "dropout", "period", "two_basin")
_STRESS = ("b_crp", "b_sleep", "b_psychotherapy")

Theta = Float[Array, " param"]


@cache
def table() -> Mapping[str, Any]:
    """priors.yaml: centre, spread, unit, source and status of every prior."""
    return yaml.safe_load((files("remanent.dynamics") / "priors.yaml").read_text("utf-8"))


@cache
def meanings() -> Mapping[str, Mapping[str, str]]:
    """meanings.yaml: what each parameter is, in words, by group as in `table`."""
    return yaml.safe_load((files("remanent.dynamics") / "meanings.yaml").read_text("utf-8"))


def where(name: str) -> tuple[str, str] | None:
    """Group and entry of a parameter of the dynamics, named as in `Layout.names`; None for a measure's own parameters."""
    kind, _, member = name.rstrip("]").partition("[")
    found = next(((group, kind) for group in _OF_THE_DYNAMICS if kind in table()[group]), None)
    if found or kind not in ("set_point", "eta_x"):
        return found
    return kind, member if member in table()[kind] else "diagnosis"


def meaning(name: str) -> str:
    """What that parameter is, in words; empty for a measure's own."""
    found, (_, _, member) = where(name), name.rstrip("]").partition("[")
    said = meanings()[found[0]][found[1]] if found else ""
    return f"{said} ({member})" if said and member else said


@dataclass(frozen=True)
class Layout:
    """Names, centres and spreads of the coordinates of theta for one design, [param]; hashable, so a compiled trace can belong to it.

    Attributes
    ----------
    names
        ``k_f``, ``p``, ... and ``l_f[hdrs24]`` for the parameters of an indicator, ``rho[ssri]`` for those of a drug class, and so on.
    centre, spread
        Of the normal prior, on the parameter's own scale (log where `is_log`).
    loads
        Whether an indicator's loading on (f, s, e, w) is free, [indicator, 4].
    form
        Form of the model.
    class_weight, placement_weight
        Shares by which the multipliers of classes and of placements average to 1 (geometrically); they reach a program as arguments (`acting`), so that
        one serves studies whose shares differ.
    shares
        How many there are of each.
    """

    names: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    is_log: tuple[bool, ...]
    loads: tuple[tuple[bool, ...], ...]
    class_weight: tuple[float, ...] = field(default=(), compare=False)
    placement_weight: tuple[float, ...] = field(default=(), compare=False)
    shares: tuple[int, int] = (0, 0)
    form: FormName = "linear"

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.names)

    def acting(self, mechanism: int) -> Float[np.ndarray, " switch"]:
        """What a program is told of a mechanism and of the study: the two switches, then the weights of classes and of placements."""
        return np.array([*SWITCHES[mechanism], *self.class_weight, *self.placement_weight])

    def index(self, name: str) -> int:
        """Coordinate of a parameter."""
        return self.names.index(name)

    def indices(self, kind: str) -> np.ndarray:
        """Coordinates of every parameter ``kind[...]``, in order."""
        return np.array([k for k, name in enumerate(self.names) if name.startswith(f"{kind}[")], int)


def layout(design: Design) -> Layout:
    """Coordinates of theta: the dynamics first, then what exists only in some studies, then each kind of parameter for all indicators."""
    indicators = design.indicators
    rows = [*table()["dynamics"].items(), *_of_the_study(design)]
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
        class_weight=design.class_weight,
        placement_weight=design.placement_weight,
        shares=(len(design.class_weight), len(design.placement_weight)),
        form=design.form,
    )


def _of_the_study(design: Design) -> list[tuple[str, Mapping[str, Any]]]:
    """Parameters that exist only where the study can inform them: two classes, two placements, a covariate that varies, a dropout, a break."""
    found = list(table()["two_basin"].items()) if design.form == "two-basin" else []
    for kinds, names, group in (
        (_PER_CLASS, design.classes, "class"),
        (_PER_PLACEMENT, design.placements, "placement"),
    ):
        if len(names) > 1:
            found += [(f"{kind}[{name}]", table()[group][kind]) for kind in kinds for name in names]
    for covariate in design.tether:
        kind = "diagnosis" if covariate.level is not None else covariate.column
        found.append((f"set_point[{covariate.name}]", table()["set_point"][kind]))
    found += [(f"eta_x[{covariate.name}]", table()["eta_x"][covariate.column]) for covariate in design.risk]
    if design.reserve:
        found.append(("lam", table()["reserve"]["lam"]))
    if design.dropout:
        found += [(name, table()["dropout"][name]) for name in ("hd0", "eta_d")]
    return found + [(f"period[day {name}]", table()["period"]["period"]) for name in design.periods]


def to_params(theta: Theta, layout: Layout, switches: Float[Array, " switch"]) -> Params:
    """Natural-scale parameters; `switches` (of `Layout.acting`) turns a mechanism on with 1 and off with 0 without a new trace."""
    classes, placements = layout.shares
    if switches.shape != (2 + classes + placements,):
        raise ValueError(f"{switches.shape} switches, not those of Layout.acting")
    class_weight, placement_weight = switches[2 : 2 + classes], switches[2 + classes :]
    is_log = np.array(layout.is_log)
    x = np.array(layout.centre) + np.array(layout.spread) * theta
    x = jnp.where(is_log, jnp.exp(jnp.where(is_log, x, 0.0)), x)
    loads = np.array(layout.loads, float).reshape(-1, 4)
    d = {name: x[k] for k, name in enumerate(layout.names) if "[" not in name}
    per = {kind: x[layout.indices(kind)] for kind in _PER_INDICATOR}
    for name, column in _LOAD_COLUMN.items():
        per[name] = per[name] * loads[:, column]
    c = d["r"] * d["c_ratio"]
    straight = (
        "k_f",
        "r",
        "mu_gs",
        "sd_gs",
        "sd_gf",
        "sig_f",
        "sig_s",
        "omega",
        "tau_w",
        "tau_e",
        "h0",
        "eta_f",
        "sd_b",
    )
    per |= {kind: _multiples(x, layout, kind, class_weight) for kind in _PER_CLASS}
    per |= {kind: _multiples(x, layout, kind, placement_weight) for kind in _PER_PLACEMENT}
    per |= {kind: x[layout.indices(kind)] for kind in ("set_point", "eta_x", "period")}
    zero = jnp.zeros_like(d["r"])
    return Params(
        **{name: d[name] for name in straight},
        **{name: d.get(name, zero) for name in ("lam", "hd0", "eta_d", "theta", "sd_theta")},
        c=c,
        a=switches[1] * c * d["a_ratio"],
        p=switches[0] * d["p"],
        sd_p=switches[0] * d["sd_p"],
        b=jnp.stack([d[name] for name in _STRESS]),
        l_w=jnp.asarray(loads[:, 3]),
        **per,
    )


def params_by_lane(thetas: Float[Array, "param lane"], layout: Layout, switches: Float[Array, " switch"]) -> Params:
    """The same where every lane has a theta of its own: each parameter with a further last axis."""
    return jax.vmap(lambda theta: to_params(theta, layout, switches), in_axes=1, out_axes=-1)(thetas)


def _multiples(x: Array, layout: Layout, kind: str, weight: Array) -> Array:
    """Multiples of the average member, 1 where there is only one: exp of what remains of the logs after their weighted mean."""
    at = layout.indices(kind)
    if not at.size:
        return jnp.ones(weight.shape[0])
    log = jnp.log(x[at])
    return jnp.exp(log - (weight * log).sum())
