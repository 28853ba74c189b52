"""Shapes and axes: one vocabulary for the whole house.

Axes are always named with these words, in type hints and in docstrings:

========== ===========================================================
patient    one person followed over time
visit      one dated contact of a patient
step       one atomic event of a patient's time line (dynamics)
obs        one scalar observation, ragged over patients
indicator  one thing that is measured repeatedly (a scale, a feature)
feature    one circuit measure of one session
frame      one volume of a BOLD run
parcel     one region of an atlas
state      one component of the latent state
param      one population parameter
draw       one posterior draw
========== ===========================================================

Shapes are checked in tests only (jaxtyping and beartype, see tests/conftest.py).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

Vector = Float[np.ndarray, " n"]
Matrix = Float[np.ndarray, "row column"]
Series = Float[np.ndarray, "frame parcel"]
Square = Float[np.ndarray, "parcel parcel"]
Mask = Bool[np.ndarray, " n"]
Index = Int[np.ndarray, " n"]
