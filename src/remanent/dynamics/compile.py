"""One way to compile, so that compiler settings and counting compilations have one place."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

# XLA's fusion emitters double the time to compile the filter and do not make it faster (measured with jax 0.10.2 on two cores).
_WANTED = {"xla_cpu_use_fusion_emitters": False}


def compiled(function: Callable[..., Any], **jit_options: Any) -> Callable[..., Any]:
    """`jax.jit` with this project's compiler options; call it when the program is first needed, not on import."""
    return jax.jit(function, compiler_options=_options(), **jit_options)


@cache
def _options() -> dict[str, Any] | None:
    """The wanted options, where this compiler knows them: they come and go with versions of XLA."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=_WANTED)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return _WANTED
