"""Training and evaluation: typed configurations, recipes, and the loop on PyTorch Lightning."""
