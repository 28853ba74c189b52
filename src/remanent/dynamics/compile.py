"""One way to compile, so that compiler settings and counting compilations have one place."""

from collections.abc import Callable
from typing import Any

import jax

# XLA's fusion emitters double the time to compile the filter and do not make it faster (measured with jax 0.10.2 on two cores).
_CPU_OPTIONS = {"xla_cpu_use_fusion_emitters": False}


def compiled(function: Callable[..., Any], **jit_options: Any) -> Callable[..., Any]:
    """`jax.jit` with this project's compiler options; call it when the program is first needed, not on import."""
    options = _CPU_OPTIONS if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=options, **jit_options)
