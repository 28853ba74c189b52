"""What the brain shows: one session to features with their sampling error."""
