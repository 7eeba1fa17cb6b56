"""The trainings of a structure search: networks wired like graphs and dense ones beside them, several at a time."""

import dataclasses
import os
import threading
import time

import networkx as nx
import numpy as np
import torch
from joblib import Parallel, delayed

from espalier import graphs, names, tasks
from espalier.graphs import DIRECTED, STUDY
from espalier.graphs.pool import Named
from espalier.learning.bench import load_data
from espalier.learning.training import Training
from espalier.nn import SequenceClassifier
from espalier.runs import progress
from espalier.runs.identity import plain
from espalier.runs.seeds import seeded
from espalier.studies.plan import cores, model_of
from espalier.studies.train import runner_of
from espalier.tasks import metric_of

#: Layers of the dense network that stands beside a graph whatever the graph's depth: the base's.
DENSE_LAYERS = 3
WATCH = "espalier-watch"


def columns(metric):
    """Of results.csv: the study's first (its `mode` is the cell), then ours."""
    name = metric.short
    return (
        "mode", "graph", "graph_nr", *STUDY, f"test_{name}", "test_loss", "time", *DIRECTED, "seed", "parameters",
        f"val_{name}", "val_loss", f"train_{name}", "train_loss",
    )  # fmt: skip


def dense_columns(metric):
    """Of dense.csv."""
    return (
        "graph", "graph_nr", "kind", "layers", "hidden", "parameters", "graph_parameters",
        *(f"{split}_{metric.short}" for split in ("test", "val", "train")), f"graph_{metric.test}", "time",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Wanted:
    """What is trained: the network wired like a graph, or (`depth`, `parameters`) a dense one beside it."""

    named: Named
    kind: str = "graph"

    @property
    def key(self):
        return self.named.name if self.kind == "graph" else f"{self.named.name}-{self.kind}"

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return self.key == other.key


def with_dense(config, known):
    """The graphs that get dense networks beside them: spread evenly over the numbers of nodes."""
    ranked = sorted(known, key=lambda named: (len(named.graph), named.family, named.number))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(config.dense, len(ranked))).round().astype(int))
    return [ranked[place] for place in places]


def train_all(config, wanted, tell, again=False):
    """Train what is not trained yet, several at a time, each in its own process.

    tell: function from (task, row), called as soon as a training is done; those of before come first.  A row is None for a
    dense network that would have no unit.  again: train also what is trained already.
    """
    runner, left, metric = runner_of(config), [], tasks.load(config.task).metric
    for task in wanted:
        training = training_of(config, task)
        trained = None if again or training is None else runner.find(training)
        if training is None or trained:
            tell(task, trained and row_of(config, task, trained))
            progress.current.advance(1, "kept from before")
        else:
            left.append(task)
    if left:
        load_data(plain(config.data))
    count = min(processes(config), len(left))
    if count <= 1:
        found = ((task, one(config, task, again)) for task in left)
    else:
        threading.excepthook = _hook
        parallel = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        found = parallel(delayed(_in_worker)(config, task, again) for task in left)
    for k, (task, row) in enumerate(found, start=1):
        tell(task, row)
        now = f"{k} of {len(left)}, {task.key}: test {metric.name} {row[metric.test]:.4f}"
        progress.current.advance(1, now, line=k % max(1, len(left) // 10) == 0 or k == len(left))


def _hook(arguments, told=threading.excepthook):
    """What a thread failed of, but for the pool's own, which stumbles over what Ctrl-C cancelled and we hear of anyway."""
    if arguments.thread is None or arguments.thread.name != "ExecutorManagerThread":
        told(arguments)


def processes(config):
    """How many graphs are trained at a time: as many as there are processes, or GPUs."""
    alone = config.processes is None and not isinstance(progress.current, progress.Remote)
    if alone and config.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.device_count() if config.device == "auto" else 1
    return cores(config)


def _in_worker(config, task, again):
    """`one`, in a process that ends with the one that started it, also when that is killed."""
    if not any(thread.name == WATCH for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=[os.getppid()], name=WATCH, daemon=True).start()
        progress.current.say = lambda line: None  # what there is to say about the data, the parent has said
    return task, one(config, task, again)


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def one(config, task, again=False):
    """Train one task, going on from the last epoch if it was interrupted.  Returns its row."""
    return row_of(config, task, runner_of(config)(training_of(config, task), again=again))


def training_of(config, task):
    """The training of the network wired like a graph, or of a dense one beside it; None if that would have no unit."""
    named, own = task.named, plain(config.model)
    graph = model_of(config, graph=nx.node_link_data(named.graph, edges="edges"))
    training = Training(
        data=plain(config.data), model=graph, optimizer=plain(config.optimizer), clip_norm=config.trainer.clip_norm,
        epochs=config.trainer.max_epochs, purpose=("graph", task.key), init=(named.name,), looks="end", task=config.task,
    )  # fmt: skip
    if task.kind == "graph":
        return training
    wired = network(config, named)
    layers = len(wired.recurrent.sizes) if task.kind == "depth" else DENSE_LAYERS
    units = dense_units(config, layers, wired.active)
    if units == 0:
        return None
    model = {"_target_": names.MODELS["recurrent"], "cell": config.cell, "hidden": [units] * layers}
    model |= {name: own[name] for name in ("embedding", "readout", "init")}
    return dataclasses.replace(training, model=model, init=(named.name, layers))


def row_of(config, task, trained):
    """The row of a task that is trained."""
    named, result, last = task.named, trained.result, trained.rows[-1]
    told = {"graph": named.family, "graph_nr": named.number}
    if task.kind == "graph":
        told = {"mode": config.cell.upper(), **told, **graphs.properties(named.graph), "seed": config.seed}
        told["parameters"] = result["active"]
    else:
        hidden = trained.training.model["hidden"]
        told |= {"kind": task.kind, "layers": len(hidden), "hidden": hidden[0], "parameters": result["parameters"]}
    metric = metric_of(result)
    words = ((metric.short, metric.name), ("loss", "loss"))
    scores = {f"{split}_{word}": last[f"{split}_{name}"] for split in ("train", "val", "test") for word, name in words}
    wanted = columns(metric) if task.kind == "graph" else dense_columns(metric)
    return told | {name: scores[name] for name in scores if name in wanted} | {"time": last["seconds"]}


def network(config, named):
    """The fresh network wired like a graph, its weights drawn for (seed, graph)."""
    keywords = training_of(config, Wanted(named)).model | load_data(plain(config.data)).sizes
    with seeded(config.seed, "init", named.name):
        return names.call(keywords.pop("_target_"), keywords, "model")


def dense_units(config, layers, parameters):
    """Units per layer of the largest dense network of so many layers that has no more parameters; 0 if there is none."""
    units, own = 0, {"embedding": config.model.embedding, "init": "uniform", **load_data(plain(config.data)).sizes}
    while True:
        with torch.device("meta"):
            model = SequenceClassifier(config.cell, [units + 1] * layers, **own)
        if sum(parameter.numel() for parameter in model.parameters()) > parameters:
            return units
        units += 1
