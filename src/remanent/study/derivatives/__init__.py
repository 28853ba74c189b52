"""What image-processing programs wrote, as the arrays of `remanent.study.session`."""
