"""Run a training: find it, or have it trained, going on where it was interrupted."""

import contextlib
from dataclasses import dataclass

import torch

from espalier.errors import InputError
from espalier.learning.attempt import Attempt
from espalier.learning.bases import load_base, load_own, rebuild
from espalier.learning.bench import Bench, load_data
from espalier.learning.evaluation import Score
from espalier.learning.training import Training, place, starts_of
from espalier.runs import files
from espalier.runs.device import device
from espalier.runs.run import Run


@dataclass(frozen=True)
class Trained:
    """What a training came to. `result` is what its result.json says: rows, kept and total weights, regain, judge, ..."""

    training: Training
    run: Run
    result: dict

    @property
    def rows(self):
        """A dict per epoch: epoch, loss and score on every split, seconds; epoch 0, right after the cut, of what was cut."""
        return self.result["rows"]

    @property
    def total(self):
        """Number of weights that competed in the cut."""
        return self.result["total"]

    @property
    def regained(self):
        return self.result["regain"]["epoch"] is not None

    @property
    def units(self):
        """(hidden units that the cut left, all of them) of recurrent layers, by what reads them."""
        masks = [mask for name, mask in self.load("last")["masks"].items() if "weight_hh" in name]
        return sum(int(mask.any(0).sum()) for mask in masks), sum(mask.shape[1] for mask in masks)

    @property
    def empty(self):
        """Whether the cut left a weight matrix without any weight."""
        return not all(mask.any() for mask in self.load("last")["masks"].values())

    def file(self, weights):
        """The file of the weights `best` or `last`."""
        return self.run / f"{weights}.pt"

    def load(self, weights="last"):
        """The content of that file."""
        return files.load_tensors(self.file(weights), "level" if self.training.cut else "base")


class Runner:
    """Finds or trains trainings, all with one seed: `runner(training)` is a `Trained`.

    outputs: root of all runs; device: `auto`, `cpu`, `cuda` or `cuda:N`, held only while there is something to train; logger:
    what trainings that are given no `Board` write beside their weights, as for `Board`.
    """

    def __init__(self, outputs, seed, threads=1, device="auto", logger=None):
        self.outputs, self.seed, self.threads, self.device, self.logger = outputs, seed, threads, device, logger
        self._before = {}  # file of a reference -> its columns, judged score and standard error
        self._known = {}  # directory -> `Trained` that was looked at: chains of levels are not walked again and again

    def find(self, training):
        """The `Trained` of a training that is done, else None."""
        run = place(training, self.outputs, self.seed)
        if run.directory not in self._known:
            result = run.result()
            if result is None or result["starts"] != self.digests(training):
                return None
            self._known[run.directory] = Trained(training, run, result)
        return self._known[run.directory]

    def __call__(self, training, again=False, **shown):
        """shown: board (a `Board`), label (for the progress), lines (whether an epoch is worth one).

        again: train although it is done.  Whoever wants the same training waits. What it needs is trained first.
        """
        run = place(training, self.outputs, self.seed)
        if again:
            self._known.pop(run.directory, None)
        elif run.directory in self._known:
            return self._known[run.directory]
        for start in starts_of(training):
            if start.training:
                self(start.training, label="base", lines=True)
        with run.alone():
            found = None if again else self.find(training)
            if found is None:
                with run.logging("training"), self.bench(training) as bench:
                    Attempt(self, training, run, bench, again, **shown).train()
                found = self.find(training)
        return found

    @contextlib.contextmanager
    def bench(self, training):
        """The `Bench` of a training, on a device that is held as long as the block runs."""
        torch.set_num_threads(self.threads)
        load_data(training.data)  # before a device is held
        with device(self.device) as held:
            yield Bench(training, self.seed, held)

    def weights_file(self, start):
        """The file that a `Start` names; a training has to be done.  Raises: InputError."""
        if start.file is not None:
            return start.file
        found = self.find(start.training)
        if found is None:
            raise InputError(f"{place(start.training, self.outputs, self.seed).directory} is missing or damaged")
        return found.file(start.weights)

    def digests(self, training):
        """Of the files that a training starts from, ranks and refers to, as they are now; None of one that is missing."""
        found = []
        for start in starts_of(training):
            try:
                found.append(files.digest(self.weights_file(start)))
            except InputError:
                found.append(None)
        return found

    def network(self, bench, start):
        """The network of a training with the weights of a start, on the bench's device."""
        file = self.weights_file(start)
        if start.file is not None:
            if bench.ours:
                return load_base(file, bench.training, bench.host.sizes).to(bench.device)
            return load_own(file, bench.network())
        content = files.load_tensors(file, "base")
        if content["sizes"] and bench.ours:  # those of a base file may be others than are configured
            return rebuild(content).to(bench.device)
        model = bench.network()
        model.load_state_dict(content["state_dict"])
        return model

    def before(self, bench, reference):
        """The columns, the judged `Score` and its standard error of a reference as it is, which many levels share."""
        file = str(self.weights_file(reference))
        if file not in self._before:
            network = self.network(bench, reference)
            self._before[file] = *bench.row(network, Score(bench.task), "base"), bench.error(network, "base")
        return self._before[file]
