"""The local web app over the results of one OUT folder."""
