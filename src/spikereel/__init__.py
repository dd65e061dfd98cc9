"""Spikereel: spike-driven video transformers to train, measure and run."""

__version__ = "0.1.0"
