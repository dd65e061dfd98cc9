"""What recipes share: statistics of colours, and how one is made of another."""

from dataclasses import replace

from spikereel.runs.config import Recipe

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def variant(recipe: Recipe, called: str, **model) -> Recipe:
    """The same run with other options of the model."""
    return replace(recipe, name=called, model=replace(recipe.model, **model))


def narrow(recipe: Recipe, size: int = 128) -> Recipe:
    """About 3 GB at batch 32: half the widths, half the frames, a smaller picture, a third of the epochs."""
    return replace(
        recipe,
        name=recipe.name + "_small",
        model=replace(recipe.model, widths=(64, 128, 192, 256), head_dim=32),
        data=replace(recipe.data, frames=8, size=size, stride=recipe.data.stride and 2 * recipe.data.stride),
        optim=replace(recipe.optim, epochs=200, lr=3e-3, accumulate=1),
    )
