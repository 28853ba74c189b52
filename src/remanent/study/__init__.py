"""What was observed: files to tables to arrays."""
