"""What a clip costs: exact operations, several cost models, fair opponents, and a passport to print or publish.

passport = spikereel.energy.measure(model, video)          # video [T, B, C, H, W]
passport.energy_mj("paper"), passport.ann_mj("paper")      # one cost model at a time
"""

from spikereel.energy.costs import COSTS, CostModel, cost_model
from spikereel.energy.layer import LayerCost
from spikereel.energy.measuring import measure, metering
from spikereel.energy.opponents import break_even, equal_bits, implied_rate, opponents
from spikereel.energy.passport import SCHEMA, Origin, Passport
from spikereel.energy.rates import estimate, read_rates
from spikereel.energy.reference import REFERENCES

__all__ = [
    "COSTS",
    "REFERENCES",
    "SCHEMA",
    "CostModel",
    "LayerCost",
    "Origin",
    "Passport",
    "break_even",
    "cost_model",
    "equal_bits",
    "estimate",
    "implied_rate",
    "measure",
    "metering",
    "opponents",
    "read_rates",
]
