"""Bodies: skeletons, rotations, cameras, SMPL and motion files. Imports nothing of ours."""
