"""What was given: doses and ECT to exposure over time."""
