"""One way to compile, so that compiler settings and counting compilations have one place (docs/decisions/0068)."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata

# Measured with jax 0.10.2 on two cores: fusion emitters double the time to compile the filter and do not make it faster; wider vectors do.
_WANTED = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_prefer_vector_width": 512}
WHOLE_LOOPS = "xla_cpu_small_while_loop_byte_threshold"

Tree = TypeVar("Tree")


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


def island(part: Callable[..., Tree], *given: Any) -> Tree:
    """`part(*given)`, compiled as a computation of its own, so that nothing in it is computed again elsewhere."""
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda: part(*given))()


@cache
def whole_loops() -> bool:
    """Whether XLA compiles a loop as one function in this process (`stages.programs` tells it to); seen from a small one."""
    if jax.default_backend() != "cpu":
        return False
    program = jax.jit(lambda x: jax.lax.fori_loop(0, 9, lambda _, y: jnp.sin(y), x))
    return "xla_cpu_small_call" in (program.lower(np.zeros(4096)).compile().as_text() or "")
