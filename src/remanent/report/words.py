"""Numbers and days as people read them, and text from studies made safe to show."""

import math
import re
import unicodedata

from remanent.report.views import AdviceCode, Basis, FitStatus, Interval, Mechanisms

ADVICE: dict[AdviceCode, str] = {
    "act": "Act now",
    "treat_first": "Treat first, then decide",
    "taper": "Ready to taper",
    "hold": "Hold: keep the medication as it is",
    "not_enough_data": "Not enough data to advise",
    "healthy": "Healthy: compared with, not advised on",
}

_BREAKS = re.compile(r"[^\S\u00a0]+")  # a no-break space stays: it holds a number and its unit together
NB = "\N{NO-BREAK SPACE}"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_PER_CENT = re.compile(r"(?<=\d) (?=%)")


def clean(text: object, limit: int = 0) -> str:
    """Return text on one line without control and direction-changing characters, cut to `limit` characters (0: no limit) with an ellipsis.

    Markup is not escaped here: the template engine and `svg` do that.
    """
    seen = str(text)
    if not seen.isprintable():
        seen = "".join(c for c in seen if c.isspace() or unicodedata.category(c) not in _HIDDEN)
    shown = _PER_CENT.sub(NB, _BREAKS.sub(" ", seen).strip())
    return shown if not limit or len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def minus(text: str) -> str:
    """Return the text with hyphens as minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")


def number(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits at most, ``n/a`` if there is none."""
    if not math.isfinite(value):
        return "n/a"
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    return minus(f"{value:.{max(digits, len(str(int(abs(value)))))}g}" if plain else f"{value:.{digits - 1}e}")


def week(day: float) -> int:
    """Return the whole weeks from day 0; -1 is the week before it."""
    return math.floor(day / 7)


def day_label(day: float) -> str:
    """Return ``day 42 (week 6)``; a page never shows a date."""
    if math.isnan(day):
        return "n/a"
    if math.isinf(day):
        return "before the first record" if day < 0 else "ongoing"
    shown = f"{day:.0f}" if float(day).is_integer() else f"{day:.1f}"
    return minus(f"day {shown} (week{NB}{week(day)})")


def span_label(days: float) -> str:
    """Return a length of time, ``182 days (26 weeks)``."""
    return f"{days:g} days ({days / 7:.0f}{NB}weeks)"


def percent(probability: float) -> str:
    """Return a probability as per cent, never claiming certainty."""
    if not math.isfinite(probability):
        return "n/a"
    if 0 < probability < 0.01:
        return f"<{NB}1{NB}%"
    if 0.99 < probability < 1:
        return f">{NB}99{NB}%"
    return f"{100 * probability:.0f}{NB}%"


def percent_interval(interval: Interval) -> str:
    """Return ``18 % (9 to 31 %)``."""
    ends = f"{percent(interval.lower).removesuffix(f'{NB}%')} to {percent(interval.upper)}"
    return f"{percent(interval.mean)} ({ends.replace(' ', NB)})"


def fraction_interval(interval: Interval) -> str:
    """Return ``0.62 (0.31 to 0.94)``."""
    if not math.isfinite(interval.mean):
        return "cannot be said"
    parts = [minus(f"{v:.2f}") if math.isfinite(v) else "n/a" for v in (interval.mean, interval.lower, interval.upper)]
    return f"{parts[0]} ({parts[1]} to {parts[2]})"


_SHORT = {
    "fc": "FC",
    "sc": "SC",
    "sfc": "SFC",
    "vol": "volume",
    "thick": "thickness",
    "cont": "control",
    "vis": "visual",
}
_SHORT |= {"salventattn": "salience", "dorsattn": "dorsal attention", "sommot": "somatomotor", "cacc": "caudal ACC"}
_SHORT |= {
    "racc": "rostral ACC",
    "icc": "isthmus cingulate",
    "pcc": "posterior cingulate",
    "mofc": "medial orbitofrontal",
}
_SHORT |= {
    "rmfg": "rostral middle frontal",
    "cmfg": "caudal middle frontal",
    "sgacc": "subgenual ACC",
    "ains": "anterior insula",
}
_SHORT |= {"ema": "momentary", "ews": "early warning"}
_CLASSES = {"ssri": "SSRI", "snri": "SNRI", "tca": "tricyclic", "maoi": "MAO inhibitor"}


def feature_label(name: str) -> str:
    """Return a feature's name as people write it: ``fc_cont_default`` is ``FC control default``."""
    return " ".join(_SHORT.get(part, part) for part in name.split("_"))


_DIAGNOSES = {"mdd": "MDD", "mdd_psychotic": "MDD, psychotic"}


def diagnosis_label(diagnosis: str) -> str:
    """Return a diagnosis as people write it."""
    return _DIAGNOSES.get(diagnosis, diagnosis.replace("_", " "))


def unit_label(unit: str) -> str:
    """Return a unit as people write it: ``mm3`` is ``mm³``, a share has none."""
    return "" if unit == "1" else unit.replace("mm3", "mm³").replace("mm2", "mm²")


def class_label(drug_class: str) -> str:
    """Return a drug class as people write it."""
    return _CLASSES.get(drug_class, drug_class)


def count(n: int, one: str, many: str = "") -> str:
    """Return ``1 scan``, ``3 scans``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def listing(items: list[str]) -> str:
    """Return ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def cannot_say(basis: Basis) -> str:
    """Return why a result is not shown; empty where it may be."""
    if basis.informed:
        return ""
    if basis.rests_on == "prior":
        said = f"These data cannot say. {sentence(basis.reason)} Only the model's starting assumptions (its prior) speak here, so no number is shown."
    else:
        said = f"Not given. {sentence(basis.reason)}"
    return clean(said)


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    shown = clean(text)
    if not shown:
        return ""
    shown = shown[0].upper() + shown[1:]
    return shown if shown.endswith((".", "!", "?")) else shown + "."


def under_fit(basis: Basis, fit: FitStatus) -> Basis:
    """Return the basis under a fit: nothing that a fit which did not converge says is a finding."""
    if basis.informed and fit.converged is False:
        return Basis(
            "nothing",
            "The fit did not converge, so its numbers are not findings; the tables beside this page keep them for whoever looks into it.",
        )
    return basis


def advice_under_fit(code: AdviceCode, fit: FitStatus) -> AdviceCode:
    """Return the advice under a fit: to taper or to hold rests on it, so neither is advised on one that did not converge."""
    return "not_enough_data" if fit.converged is False and code in {"taper", "hold"} else code


def mechanism_basis(mechanisms: Mechanisms) -> Basis:
    """Return what mechanism probabilities rest on: data if identifiable, else only the prior; nothing if there are none."""
    if mechanisms.identifiable and mechanisms.names:
        return Basis("data", mechanisms.reason)
    return Basis("prior" if mechanisms.names else "nothing", mechanisms.reason)
