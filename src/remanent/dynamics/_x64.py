"""Double precision for every array of this room; imported before anything else that touches JAX."""

import jax

jax.config.update("jax_enable_x64", True)
