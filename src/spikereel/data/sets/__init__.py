"""Datasets: one file each, named as `data.kind`."""
