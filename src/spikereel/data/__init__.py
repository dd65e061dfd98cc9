"""Clips: procedural motion (the default), video files, and how frames are sampled and transformed."""
