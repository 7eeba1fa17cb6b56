"""Structure search: train networks wired like random graphs, measure, correlate, predict, and use the prediction."""

import dataclasses
import logging
import os
import random
import threading
import time
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from scipy import stats

from espalier import graphs, names, tasks
from espalier.analysis import prediction, structure, structure_figures
from espalier.errors import InputError
from espalier.graphs import DIRECTED, STUDY
from espalier.learning.bench import load_data
from espalier.learning.board import Board
from espalier.learning.training import Training, short
from espalier.nn import SequenceClassifier
from espalier.runs import files, progress
from espalier.runs.identity import identity, plain
from espalier.runs.seeds import seeded, stream
from espalier.settings import StructureConfig, from_yaml
from espalier.settings.checks import is_own
from espalier.studies.collect import about
from espalier.studies.plan import model_of, structure_run
from espalier.studies.train import runner_of
from espalier.tasks import ACCURACY, metric_of

log = logging.getLogger(__name__)

FILES = ("results.csv", "dense.csv", "correlations.csv", "prediction.csv", "importance.csv", "predicted.csv")
#: Layers of the dense network that stands beside a graph whatever the graph's depth: the base's.
DENSE_LAYERS = 3
WATCH = "espalier-watch"


@dataclasses.dataclass(frozen=True)
class Named:
    """A graph with its place: family and number within it."""

    family: str
    number: int
    graph: nx.Graph

    @property
    def name(self):
        return f"{self.family}_{self.number}"


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


def draw(config, family, number, purpose="graph"):
    """The graph at this place of a family, from a stream of its own."""
    own = random.Random(stream(config.seed, purpose, family, number))
    n = own.randint(*config.nodes)
    if family == "barabasi_albert":
        graph = graphs.barabasi_albert(n, config.attach, own.getrandbits(32), config.ba_initial.name)
    elif family == "watts_strogatz":
        rewire = own.choice(list(config.rewire))
        graph = graphs.watts_strogatz(n, config.neighbours, rewire, own.getrandbits(32), config.tries)
    else:
        graph = graphs.erdos_renyi(n, own.choice(list(config.probability)), own.getrandbits(31), config.tries)
    return Named(family, number, graph)


def draw_own(config, number, purpose="graph"):
    """The graph at this place of a family of the user's: what their function of (nodes, seed, keys) returns.

    Raises: InputError.
    """
    keywords = {name: value for name, value in config.items() if name not in ("_target_", "graphs", "nodes", "seed")}
    place, family = config["_target_"], short(config)
    own = random.Random(stream(config["seed"], purpose, family, number))
    graph = names.call(place, {"nodes": own.randint(*config["nodes"]), "seed": own.getrandbits(32), **keywords}, "graph")
    if not isinstance(graph, nx.Graph):
        raise InputError(f"graph: {place} returned {type(graph).__name__}, it must return a networkx graph")
    graphs.layered(graph)  # which says what no network can be wired like
    return Named(family, number, graph)


def search_graphs(config):
    """The graphs of a search, in order: from its folder, or drawn.  Raises: InputError."""
    if is_own(config):
        return [draw_own(config, number) for number in range(config["graphs"])]
    if config.folder:
        return [Named(*found) for found in graphs.read_folder(config.folder)]
    return [draw(config, family, number) for family in graphs.FAMILIES for number in range(getattr(config, family))]


def unseen_graphs(config, count, known):
    """`count` graphs that are not among the known ones, the families in the proportions of the search."""
    if is_own(config):
        counts = {short(config): config["graphs"]}
    else:
        counts = {family: getattr(config, family) for family in graphs.FAMILIES if getattr(config, family)}
    shares = np.diff(np.round(np.cumsum([0, *counts.values()]) / sum(counts.values()) * count).astype(int))
    seen, found = {_signature(named.graph) for named in known}, []
    for family, share in zip(counts, shares):
        number, tries = 0, 0
        while number < share:
            named = draw_own(config, tries, "unseen") if is_own(config) else draw(config, family, tries, "unseen")
            tries += 1
            if _signature(named.graph) not in seen:
                seen.add(_signature(named.graph))
                found.append(Named(f"unseen_{family}", number, named.graph))
                number += 1
            elif tries > 100 * share + 1000:
                raise InputError(f"predict={count}: there are not so many different {family} graphs; raise graph.nodes")
    return found


def _signature(graph):
    return len(graph), frozenset(map(frozenset, graph.edges))


def analyse_table(config, experiment):
    """results=FILE: only the analysis, of any table in the study's columns; a folder per cell where it holds several.

    Returns (folder, list of (cell, frame, correlations, prediction)).
    """
    metric = tasks.load(config.task).metric
    frame = structure.read(config.results, config.predictor.folds, metric)
    path = Path(config.results)
    name = f"{path.stem}-{identity({'table': files.digest(path), 'predictor': plain(config.predictor)})}"
    folder = Path(config.outputs) / "structure_analysis" / name
    found = []
    for mode, own in frame.groupby("mode", sort=False):
        cell = mode.lower()
        into = folder if frame["mode"].nunique() == 1 else folder / cell
        with progress.current.job(f"{cell}, {len(own)} rows", 1):
            told = structure.analyse(into, own.reset_index(drop=True), config.predictor, about(cell, experiment), metric=metric)
        found.append((cell, own, *told))
    return folder, found


def job(config, experiment=None):
    """One job of structure_search.py: a search, or (predict=N) the use of a finished one."""
    run = structure_run(config)
    if config.predict is not None:
        return use(config, run, experiment)
    known = search_graphs(config.graph)
    prediction_needs(config, len(known))
    with run.alone():
        if config.force or not run.result():
            with run.logging("structure_search"):
                _search(config, run, known, experiment)


def prediction_needs(config, count):
    need = prediction.needed(config.predictor.folds)
    if count < need:
        raise InputError(f"{count} graphs: {config.predictor.folds} folds and the published split need {need}; raise graph.*")


def _search(config, run, known, experiment):
    run.start()
    for named in known:
        graphs.write(run / "graphs" / f"{named.name}.json", named.graph)
    metric = tasks.load(config.task).metric
    board = Board(run.directory, config.logger, metric)
    chosen = with_dense(config, known)
    todo = [Task(named) for named in known] + [Task(named, kind) for named in chosen for kind in ("depth", "parameters")]
    rows, places = {}, {named.name: k for k, named in enumerate(known)}

    def tell(task, row):
        rows[task] = row
        if task.kind == "graph":
            scores = (f"{split}_{metric.short}" for split in ("test", "train"))
            board.values({f"graphs/{name}": row[name] for name in scores}, places[task.key])
            files.write_rows(run / "results.csv", columns(metric), [rows[own] for own in map(Task, known) if own in rows])

    with progress.current.job(f"{config.cell}, {len(known)} graphs", len(todo)):
        train_all(config, todo, tell, again=config.force)
    dense = []
    for task in todo:
        if task.kind != "graph" and rows[task]:
            own = rows[Task(task.named)]
            told = {"graph_parameters": own["parameters"], f"graph_{metric.test}": own[metric.test]}
            dense.append({**rows[task], **told})
    files.write_rows(run / "dense.csv", dense_columns(metric), dense)
    analyse(config, run, experiment)
    found = pd.read_csv(run / "prediction.csv")
    name = prediction.best(found)
    chosen = found[(found["regressor"] == name) & (found["features"] == "all")]
    r2 = float(chosen.loc[chosen["protocol"] == "cross_validation", "r2"].item())
    values = [rows[Task(named)][metric.test] for named in known]
    best = max(values, key=metric.better)
    metrics = {f"best_{metric.test}": best, f"mean_{metric.test}": float(np.mean(values)), "prediction_r2": r2}
    board.finish({"cell": config.cell, "skip": config.model.skip.name, "seed": config.seed, "graphs": len(known)}, metrics)
    result = {"cell": config.cell, "seed": config.seed, "graphs": len(known), "regressor": name, **metrics}
    result["task"] = dataclasses.asdict(metric)
    run.finish(result, FILES)


def analyse(config, run, experiment):
    """Tables, figures and report of a search from its results.csv; reads only files, so that it can be repeated.

    Returns (frame, correlations, prediction).
    """
    metric = tasks.load(config.task).metric
    frame = structure.read(run / "results.csv", config.predictor.folds, metric)
    dense = pd.read_csv(run / "dense.csv") if (run / "dense.csv").exists() else None
    known = {(family, number): graph for family, number, graph in graphs.read_folder(run / "graphs")}
    told = about(config.cell, experiment, run)
    return frame, *structure.analyse(run.directory, frame, config.predictor, told, known, dense, metric)


def analyse_again(directory, experiment):
    """`analyse` for the search in a folder."""
    config = from_yaml(directory / "config.yaml", StructureConfig)
    run = structure_run(config)
    run.directory = directory  # also where its address would be another one by now
    return analyse(config, run, experiment)


# Training of single graphs


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
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
    """How many graphs are trained at a time: as configured, else a process per core, or one per GPU."""
    if config.processes is not None:
        return config.processes
    if isinstance(progress.current, progress.Remote):  # a worker beside others
        return 1
    if config.device != "cpu":
        if torch.cuda.is_available():
            return torch.cuda.device_count() if config.device == "auto" else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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
    keywords = training_of(config, Task(named)).model | load_data(plain(config.data)).sizes
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


# Use of it


def use(config, run, experiment):
    """predict=N: rank N unseen graphs by predicted accuracy, train both ends of the ranking, and say whether it held."""
    if not is_own(config.graph) and config.graph.folder:
        raise InputError("predict=N draws random graphs like those of the search; a search over graph.folder has none")
    if not run.result():
        raise InputError(f"predict={config.predict} needs the finished search; run the same command without predict first")
    known = search_graphs(config.graph)
    unseen = unseen_graphs(config.graph, config.predict, known)
    metric = tasks.load(config.task).metric
    frame = structure.read(run / "results.csv", config.predictor.folds, metric)
    name = run.result()["regressor"]
    columns = list(prediction.FEATURES["all"])
    model = prediction.pipeline(name, config.predictor.seed).fit(frame[columns].to_numpy(float), frame[metric.test])
    measured = pd.DataFrame([graphs.properties(named.graph) for named in unseen])
    ranked = pd.DataFrame({
        "graph": [named.family for named in unseen], "graph_nr": [named.number for named in unseen],
        "predicted": model.predict(measured[columns].to_numpy(float)),
    }).sort_values("predicted", ascending=not metric.higher, kind="stable")  # fmt: skip
    each = min(config.predict_each, len(unseen) // 2)
    ends = [unseen[place] for place in [*ranked.index[:each], *ranked.index[-each:]]]
    rows = {}
    with run.logging("predict"), progress.current.job(f"{config.cell}, {2 * each} unseen graphs", 2 * each):
        train_all(config, [Task(named) for named in ends], lambda task, row: rows.update({task.named.name: row}))
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    for column in (metric.test, f"val_{metric.short}"):
        values = [rows.get(f"{family}_{number}", {}).get(column) for family, number in zip(ranked["graph"], ranked["graph_nr"])]
        ranked[column] = pd.Series(values, index=ranked.index, dtype=float)
    folder = run / f"predict_{config.predict}"
    files.write_text(folder / "ranking.csv", ranked.to_csv(index=False, lineterminator="\n"))
    structure_figures.ranking(run / "figures", ranked, metric)
    told = held(ranked.dropna(subset=metric.test), each, name, config.predict, metric)
    files.write_json(folder / "prediction.json", told)
    analyse(config, run, experiment)
    return told


def held(trained, each, regressor, count, metric=ACCURACY):
    """Whether the ranking held on the graphs that were trained: Spearman's rank correlation (0 where nothing varies), and the
    hit rate, the share of the top half by prediction that is in the top half by measurement.
    """
    measured = trained[metric.test]
    same = measured.nunique() == 1 or trained["predicted"].nunique() == 1
    rank = 0.0 if same else stats.spearmanr(trained["predicted"], measured).statistic
    top = set(trained.head(each).index)
    hits = len(top & set(measured.sort_values(ascending=not metric.higher, kind="stable").head(each).index))
    gap = metric.better(measured.head(each).mean()) - metric.better(measured.tail(each).mean())
    verdict = "held" if rank > 0 and hits > each / 2 else "did not hold"
    told = (
        f"Of {count} unseen graphs, ranked by {regressor}, the top and the bottom {each} were trained: the prediction "
        f"{verdict}; rank correlation {rank:+.2f}, hit rate {hits} of {each}, the top is better by {gap:+.4f} on average."
    )
    return {
        "graphs": count, "trained": 2 * each, "regressor": regressor, "rank_correlation": float(rank),
        "hit_rate": hits / each, "top_minus_bottom": float(gap), "told": told,
    }  # fmt: skip
