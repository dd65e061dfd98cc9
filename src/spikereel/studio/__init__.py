"""The studio: a local web page that shows what a spiking network does with a video, on one clock."""
