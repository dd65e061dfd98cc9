"""Video files: whether they are whole, the time of each frame, reading, caching and writing them."""

from spikereel.data.video.read import VideoInfo, glance, probe, read_frames, timeline
from spikereel.data.video.write import write_video

__all__ = ["VideoInfo", "glance", "probe", "read_frames", "timeline", "write_video"]
