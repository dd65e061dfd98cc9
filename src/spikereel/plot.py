"""Pictures of traces for notebooks and papers: `spikereel.plot.raster(trace, "block3.0.attn.q_lif")`.

Each gives axes of matplotlib, or a figure where it takes several, and draws into `ax` where that is given. dark: on a
dark page. width: of the figure in pixels; words keep their size, so that 390 is as readable as 1280.
"""

from spikereel.show.plots.attention import attention
from spikereel.show.plots.compare import compare
from spikereel.show.plots.confusion import confusion
from spikereel.show.plots.energy import energy
from spikereel.show.plots.figure import save
from spikereel.show.plots.membranes import membranes
from spikereel.show.plots.raster import raster, rates

__all__ = ["attention", "compare", "confusion", "energy", "membranes", "raster", "rates", "save"]
