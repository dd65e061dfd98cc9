"""A trained model on a file."""
