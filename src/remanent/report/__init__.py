"""What to show: one function per figure, one page per patient, one for the cohort."""
