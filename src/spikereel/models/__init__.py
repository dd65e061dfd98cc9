"""Architectures, one file each, and the import of published weights."""
