"""What remains of the recovery when treatment is withdrawn.

`remanent.load(OUT)` reads the results of a run; `remanent.plot_*` draws them as matplotlib figures. Nothing is imported before one of them is asked for.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FIGURES = ("timeline", "states", "forecast", "remanence", "features", "mechanisms", "follow_up", "holds")
_LAZY = ("SavedResults", "load", *(f"plot_{name}" for name in _FIGURES))


def __getattr__(name: str) -> Any:
    """Import the results and the figures when they are first used (PEP 562); `import remanent` stays free of matplotlib."""
    if name in _LAZY:
        return getattr(import_module("remanent.stages.results"), name)
    raise AttributeError(f"module 'remanent' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Names for completion."""
    return sorted(["__version__", *_LAZY])
