"""The spike engine: inference on packed spikes, several times faster than the dense network on ordinary processors.

engine = spikereel.compile(model)
logits, state = engine(video)         # as model(video), without gradients
"""
