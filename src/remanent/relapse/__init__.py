"""What it means: posterior to risk."""
