"""Predictions of many clips: paths in, Parquet out, by processes, shards of a cluster job, or Ray."""
