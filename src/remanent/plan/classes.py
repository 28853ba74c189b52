"""Which class of drug the posterior favours, and only where the study can tell: the multipliers by class of the passive and the active gain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from remanent.dynamics.infer import Posterior
from remanent.dynamics.priors import SWITCHES

KIND: Mapping[int, Literal["rho", "alpha"]] = {0: "rho", 1: "alpha"}
_WORDS = {0: "holds function up most per full exposure", 1: "helps structure to consolidate most per full exposure"}


@dataclass(frozen=True)
class Favoured:
    """One class that acts more than every other by one of the two effects (0: passive, 1: active)."""

    drug_class: str
    effect: int
    probability: float

    @property
    def words(self) -> str:
        """In plain words."""
        return (
            f"Of the drug classes of this study, {self.drug_class} {_WORDS[self.effect]} (probability {100 * self.probability:.0f} %); "
            "treatment was not assigned at random, and other reasons for choosing a class are not counted"
        )


def favoured(
    posterior: Posterior,
    weight: Float[np.ndarray, " mechanism"],
    known: np.ndarray,
    limits: Mapping[str, Mapping[str, Any]],
    rng: np.random.Generator,
) -> tuple[Favoured, ...]:
    """At most one class by effect.

    It is named where the effect itself is identifiable (`known`), and where by `limits` (of ``identifiable`` in settings.yaml) the data narrowed that class's
    multiplier enough against its prior (`sd_ratio`) and it is probably enough the largest (`favoured_class`).
    """
    found = []
    sure, narrow = (float(limits[name]["value"]) for name in ("favoured_class", "sd_ratio"))
    centre = np.array(posterior.layout.centre)
    for effect, kind in KIND.items():
        at = posterior.layout.indices(kind)
        acting = SWITCHES[:, effect] > 0
        share = np.where(acting, weight, 0.0)
        if not known[effect] or at.size < 2 or share.sum() <= 0:
            continue
        counts = rng.multinomial(4000, share / share.sum())
        theta = np.concatenate([posterior.fits[m].draw(rng, int(n))[:, at] for m, n in enumerate(counts) if n])
        spread = np.array(posterior.layout.spread)[at]
        best = (centre[at] + theta * spread).argmax(1)
        probability = np.bincount(best, minlength=at.size) / len(best)
        k = int(probability.argmax())
        if probability[k] >= sure and theta[:, k].std() <= narrow:
            name = posterior.layout.names[at[k]].partition("[")[2].rstrip("]")
            found.append(Favoured(name, effect, float(probability[k])))
    return tuple(found)
