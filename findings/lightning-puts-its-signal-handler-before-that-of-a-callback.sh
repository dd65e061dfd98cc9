#!/usr/bin/env bash
# Lightning 2.6.6: a handler of SIGTERM that a callback sets in `on_fit_start` is not what a signal meets in training.
# Guessed: Lightning sets its own handlers before it calls callbacks, so that theirs have the last word.
# Seen: it sets them after `on_fit_start` and before `on_train_start`, as a chain whose first member is its own, and the
# callback's second. Its own speaks with the other processes of a run (`torch.distributed.broadcast`) in the middle of
# whatever step the signal came in. A handler that is set in `on_train_start` stands alone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 pytorch-lightning==2.6.6
cat > who.py <<'P'
import inspect
import logging
import signal
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def ours(number, frame):
    pass


def named(handler):
    chain = getattr(handler, "signal_handlers", [handler])
    return " then ".join(getattr(x, "__name__", str(x)) for x in chain)


class Sets(pl.Callback):
    def __init__(self, hook):
        self.hook = hook

    def on_fit_start(self, trainer, module):
        if self.hook == "on_fit_start":
            signal.signal(signal.SIGTERM, ours)

    def on_train_start(self, trainer, module):
        if self.hook == "on_train_start":
            signal.signal(signal.SIGTERM, ours)

    def on_train_batch_start(self, trainer, module, batch, index):
        handler = signal.getsignal(signal.SIGTERM)
        print(pl.__version__, self.hook + ":", named(handler))
        first = getattr(handler, "signal_handlers", [handler])[0]
        print("the first speaks with other processes:", "dist.broadcast" in inspect.getsource(first))


for hook in ("on_fit_start", "on_train_start"):
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=1, callbacks=[Sets(hook)], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(Net(), DataLoader(torch.ones(1, 1)))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
P
seen=$(env/bin/python who.py)
echo "$seen"
wanted="2.6.6 on_fit_start: _sigterm_notifier_fn then ours
the first speaks with other processes: True
2.6.6 on_train_start: ours
the first speaks with other processes: False"
[ "$seen" = "$wanted" ] || { echo "changed"; exit 1; }
