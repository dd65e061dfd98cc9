"""What a run is: configuration, recipes, kinds of data, tasks, splits, loaders, evaluation. No Lightning."""
