"""What clips are made of where nothing is recorded: shapes, scenes of motion, people."""
