#!/usr/bin/env bash
# Lightning 2.6.6: in the script of a Slurm job that has several tasks, and that calls python without srun, the one
# process is taken for task 0 of several that srun started. A trainer then starts nobody and expects the others.
# Guessed: it asks for what only a task of srun has (SLURM_STEP_ID, SLURM_STEP_NUM_TASKS), and otherwise runs as one
# process or starts those that `devices` asks for.
# Seen: SLURM_NTASKS alone decides, and Slurm sets that for the script as well. Variables below are those of the script of
# `sbatch --nodes=1 --ntasks-per-node=2`, and of its `srun`, as Slurm 22.05.8 (Debian 12) set them.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6 pytorch-lightning==2.6.6
cat > who.py <<'P'
import logging
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
import pytorch_lightning as pl

trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
where = trainer.strategy.cluster_environment
print(pl.__version__, type(where).__name__, "started by others:", where.creates_processes_externally)
P
job=(SLURM_JOB_ID=7 SLURM_JOB_NAME=train SLURM_JOB_NODELIST=a1 SLURM_NNODES=1 SLURM_NTASKS=2 SLURM_NPROCS=2
    SLURM_NTASKS_PER_NODE=2 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0)
seen="outside: $(env/bin/python who.py)
script: $(env "${job[@]}" env/bin/python who.py)
task: $(env "${job[@]}" SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 env/bin/python who.py)"
echo "$seen"
wanted="outside: 2.6.6 LightningEnvironment started by others: False
script: 2.6.6 SLURMEnvironment started by others: True
task: 2.6.6 SLURMEnvironment started by others: True"
[ "$seen" = "$wanted" ] || { echo "changed"; exit 1; }
