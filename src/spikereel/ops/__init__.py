"""Pure functions, the references of the library: surrogate gradients, neurons, spike-driven attention."""
