"""Errors that a user can act on: each message names the file or value at fault and the way out."""


class SpikereelError(ValueError):
    """Base of every error caused by input; the command line prints it on one line and exits with code 2."""


class ConfigError(SpikereelError):
    """A model, data or training option that does not exist or cannot have this value."""


class DataError(SpikereelError):
    """A file that is missing, broken, empty, or not what its name says."""


class WeightsError(SpikereelError):
    """Weights that do not fit the model, or a checkpoint that cannot be read safely."""


class StateError(SpikereelError):
    """A neuron state that does not belong to this model, batch or resolution."""


class TrainingError(SpikereelError):
    """Training that cannot go on: a non-finite loss, or layers that never fire."""


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal; the message says how to go on, and is empty in all processes but the first."""

    def __init__(self, message: str, *, code: int):
        super().__init__(message)
        self.code = code
        """Exit status: 128 and the number of the signal."""
