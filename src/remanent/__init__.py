"""What remains of the recovery when treatment is withdrawn."""

__version__ = "0.1.0"
