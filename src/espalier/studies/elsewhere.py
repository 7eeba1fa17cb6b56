"""Results that were made elsewhere: from a tidy table to joined tables, figures and a report."""

from pathlib import Path

import pandas as pd

from espalier import tasks
from espalier.analysis import figures, tables
from espalier.analysis import report as pages
from espalier.analysis.pruned import Pruned
from espalier.errors import InputError
from espalier.pruning.regain import Regain
from espalier.runs import files

COLUMNS = ("series", "percent", "seed", "epoch", "score")
TABLE, ABOUT = "table.csv", "table.json"


def report(frame, folder, task="classify", split="test", tolerance=None, patience=1, say=None):
    """Tables, figures and `report.html` of pruning that was done elsewhere.

    frame: a DataFrame (or what makes one) with a row per series, percent, seed and epoch.  `series`: what is compared, in
    words; `percent`: of the weights removed, 0 to 100; `epoch`: of retraining, 0 right after the cut; `score`: in the terms of
    the task.  Rows of percent 0 are the base, of which the last epoch counts; every level needs its epoch 0.
    folder: where to write.  It is reported again by `python prune.py report=FOLDER`.
    task: the name of a task of ours, its settings, or an `espalier.tasks.Metric`.  split: `test` or `validation`, whose scores
    these are.  tolerance: of safe percents and of regain, in the metric's own terms; None: the metric's own.  patience: epochs
    in a row that have to be back.

    What such a table does not hold (numbers of weights, settings, versions) the report does not tell.

    Returns: the path of the report.  Raises: InputError, which names the row, for what is no such table.
    """
    metric = task if isinstance(task, tasks.Metric) else tasks.load({"name": task} if isinstance(task, str) else task).metric
    if split not in ("test", "validation"):
        raise InputError(f"split must be test or validation, got {split!r}")
    frame, folder = checked(pd.DataFrame(frame)), Path(folder)
    files.write_text(folder / TABLE, frame.to_csv(index=False, lineterminator="\n"))
    files.write_json(folder / ABOUT, {"metric": vars(metric), "split": split, "tolerance": tolerance, "patience": patience})
    return tell(frame, folder, metric, split, tolerance, patience, "espalier.report(...)")[0]


def again(folder, task, safe):
    """The same for a folder with a table, as `report` left it, or any table.csv of that form, judged by the metric of
    `task`.  safe: values of the key `safe` that are others than they were.  Returns a `Pruned`.
    """
    about = files.read_json(folder / ABOUT)
    if not isinstance(about, dict) or "metric" not in about:
        about = {"metric": vars(tasks.load(task).metric), "split": "test", "tolerance": None, "patience": 1}
    frame = checked(tables.read(folder / TABLE), folder / TABLE)
    tolerance = safe.get("tolerance", about["tolerance"])
    metric = tasks.Metric(**about["metric"])
    command = f"python prune.py report={folder}"
    return tell(frame, folder, metric, about["split"], tolerance, about["patience"], command)[1]


def tell(frame, folder, metric, split, tolerance, patience, command):
    """(path of the report, a `Pruned`)."""
    column = f"{'val' if split == 'validation' else 'test'}_{metric.name}"
    rows = frame.rename(columns={"series": "cell", "score": column}).assign(target="", score="", scope="", variant="")
    for name in (f"val_{metric.name}", f"test_{metric.name}"):
        rows[name] = rows[name] if name in rows else float("nan")
    summary = pd.DataFrame(summaries(rows, metric, column, split, tolerance, patience))
    pruned = Pruned(summary, None, metric, {}, tolerance)
    for name, table in (("results.csv", rows), ("summary.csv", summary)):
        files.write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
    figures.pruning(folder / "figures", summary, [], rows, pd.DataFrame(), {}, metric)
    regain = {"tolerance": tolerance, "patience": patience}
    about = {"command": command, "experiment": None, "config": None, "regain": regain}
    return pages.write(folder, pruned, rows, about), pruned


def summaries(rows, metric, column, split, tolerance, patience):
    """Rows of summary.csv, as far as a table tells them."""
    found, splits = [], (f"val_{metric.name}", f"test_{metric.name}")
    for (_, seed), own in rows.groupby(["cell", "seed"], sort=False):
        base = own[own["percent"] == 0].sort_values("epoch").iloc[-1]
        for percent, level in own[own["percent"] > 0].groupby("percent"):
            level = level.sort_values("epoch")
            regain = Regain(base[column], metric.allowed(base[column], tolerance), metric.higher, patience)
            for epoch, value in zip(level["epoch"], level[column]):
                regain.update(value, int(epoch), int(epoch))
            best = level.loc[metric.better(level[column]).idxmax()]
            found.append({
                **{name: base[name] for name in tables.SERIES}, "percent": percent, "seed": seed, "judge": split,
                "kept": None, "total": None, **{f"base_{name}": base[name] for name in splits},
                **{f"cut_{name}": level.iloc[0][name] for name in splits}, "regain_epoch": regain.epoch, "regain_step": None,
                "censored": int(regain.censored), "best_epoch": int(best["epoch"]),
                **{f"best_{name}": best[name] for name in splits}, "epochs": int(level["epoch"].max()),
            })  # fmt: skip
    return found


def checked(frame, path="the table"):
    """The columns of a tidy table in their order, as text and numbers.  Raises: InputError."""
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
    if not len(frame):
        raise InputError(f"{path}: there is no row")
    frame = frame[list(COLUMNS)].reset_index(drop=True)
    nameless = frame["series"].isna() | (frame["series"].astype(str) == "")
    if nameless.any():
        raise InputError(f"{path}, row {int(nameless.idxmax()) + 1}: series must be a name, got nothing")
    frame["series"] = frame["series"].astype(str)
    for name in COLUMNS[1:]:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        wrong = numbers.isna() | ~numbers.abs().lt(float("inf"))
        if wrong.any():
            row = int(wrong.idxmax())
            raise InputError(f"{path}, row {row + 1}: {name} must be a number, got {frame[name][row]!r}")
        frame[name] = numbers
    for name in ("seed", "epoch"):
        wrong = (frame[name] % 1 != 0) | (frame[name] < 0)
        if wrong.any():
            row = int(wrong.idxmax())
            raise InputError(f"{path}, row {row + 1}: {name} must be a whole number from 0 on, got {frame[name][row]:g}")
        frame[name] = frame[name].astype(int)
    outside = ~frame["percent"].between(0, 100)
    if outside.any():
        row = int(outside.idxmax())
        raise InputError(f"{path}, row {row + 1}: percent must be from 0 to 100, got {frame['percent'][row]:g}")
    twice = frame.duplicated(["series", "percent", "seed", "epoch"])
    if twice.any():
        raise InputError(f"{path}, row {int(twice.idxmax()) + 1}: series, percent, seed and epoch are those of a row before")
    for (series, seed), own in frame.groupby(["series", "seed"], sort=False):
        if not (own["percent"] == 0).any():
            raise InputError(f"{path}: {series}, seed {seed}: no row of percent 0, which is the base")
        if (own["percent"] == 0).all():
            raise InputError(f"{path}: {series}, seed {seed}: no row of a level, only of the base (percent 0)")
        first = own.groupby("percent")["epoch"].min()
        late = first[(first > 0) & (first.index > 0)]
        if len(late):
            raise InputError(
                f"{path}: {series}, seed {seed}: level {late.index[0]:g} has no row of epoch 0, right after the cut"
            )
    return frame
