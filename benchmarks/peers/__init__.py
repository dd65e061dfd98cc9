"""Other ways to run the same network, each checked against ours before it may be timed: `PEERS`, `peer(name)`."""

from importlib import import_module

from peers.contract import Built, Peer

__all__ = ["PEERS", "Built", "Peer", "peer"]

PEERS = {
    "engine": ("engine", "PEER"),
    "engine_coarse": ("engine", "COARSE"),
    "authors": ("authors", "PEER"),
    "spikingjelly2": ("spikingjelly2", "PEER"),
    "compiled": ("compiled", "PEER"),
    "ann_torch": ("ann_torch", "PEER"),
    "ann_onnxruntime": ("ann_onnxruntime", "FP32"),
    "ann_onnxruntime_int8": ("ann_onnxruntime", "INT8"),
    "ann_openvino": ("ann_openvino", "FP32"),
    "ann_openvino_int8": ("ann_openvino", "INT8"),
}
"""Name: module in this folder, and the name of the peer in it."""


def peer(name: str) -> Peer:
    """The peer of that name; importing it needs none of the packages it runs on."""
    if name not in PEERS:
        raise SystemExit(f"peer {name!r} does not exist; choose from {', '.join(PEERS)}")
    module, attribute = PEERS[name]
    return getattr(import_module(f"peers.{module}"), attribute)
