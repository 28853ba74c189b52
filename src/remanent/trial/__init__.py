"""Would it work: cohorts that do not exist yet."""
