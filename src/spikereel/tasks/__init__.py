"""Tasks: a loss and a measure on top of a model."""
