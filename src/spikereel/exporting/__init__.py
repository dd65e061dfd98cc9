"""Trained models leave the library: files of other runtimes, with states in the signature and a certificate."""
