"""What to do: risk to choice."""
