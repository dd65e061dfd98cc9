"""Event cameras: recordings of nine formats, frames, voxel grids and time surfaces of them, DVS128-Gesture."""
