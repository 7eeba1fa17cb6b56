"""On which device a job runs: one GPU per job."""

import contextlib
import os
import tempfile
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from espalier.errors import InputError

#: Whose scheduler has already chosen: the job then uses the first device it sees and touches nothing.
SCHEDULERS = ("SLURM_JOB_ID", "RAY_JOB_ID", "RAY_WORKER_ID")


@contextlib.contextmanager
def device(name, count=None, folder=None, poll=0.5):
    """`torch.device` for `auto`, `cpu`, `cuda` or `cuda:N`, for as long as the block runs.

    `auto` is the CPU where there is no GPU, the only GPU where there is one or a scheduler gave one, and otherwise a GPU that
    no other job of ours on this machine holds; it waits for one. The hold is a file lock, which ends with the process.

    count: number of GPUs, folder: where the locks are; both for tests.  Raises: InputError if the device is not there.
    """
    count = torch.cuda.device_count() if count is None else count
    if name != "auto":
        chosen = torch.device(name)
        if chosen.type == "cuda" and (chosen.index or 0) >= count:
            raise InputError(f"device={name}: there are {count} CUDA devices; use device=cpu or auto")
        yield chosen
    elif count == 0:
        yield torch.device("cpu")
    elif count == 1 or any(variable in os.environ for variable in SCHEDULERS):
        yield torch.device("cuda", 0)
    else:
        index, lock = _free_one(count, Path(folder or tempfile.gettempdir()), poll)
        try:
            yield torch.device("cuda", index)
        finally:
            lock.release()


def _free_one(count, folder, poll):
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if os.environ.get("CUDA_VISIBLE_DEVICES") else range(count)
    locks = [FileLock(folder / f"espalier-gpu-{name}.lock") for name in visible]
    while True:
        for index, lock in enumerate(locks):
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                return index, lock
        time.sleep(poll)
