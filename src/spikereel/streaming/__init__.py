"""Models on endless video: sessions with exact state, many of them in a batch, live sources, and sinks."""
