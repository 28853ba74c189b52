"""Load, call, store: the stages that the command line and the app share."""
