"""Running trained models and measuring what they cost."""
