"""The end of a sweep, or of one run: joined tables, figures over all jobs, report. Reads finished runs only; needs no torch."""

import hashlib
import logging
import shlex
import sys
from pathlib import Path

import pandas as pd

from espalier.analysis import figures, joining, methods, page, redundancy, report, tables, thesis, worth
from espalier.analysis.pruned import Pruned
from espalier.errors import InputError
from espalier.runs import files
from espalier.runs.identity import OUTSIDE, plain
from espalier.runs.run import read_result, versions
from espalier.settings import PruneConfig, StructureConfig, TrainConfig, from_yaml
from espalier.studies import controls
from espalier.studies.plan import RUNS, prune_run, series_of, ships, train_run
from espalier.tasks import metric_of

log = logging.getLogger(__name__)

#: Door -> the schema of its configuration.
CONFIGS = {"train": TrainConfig, "prune": PruneConfig, "structure_search": StructureConfig}
#: What is not there, and the ends of columns of what was reached: by what judges, and on test.
NOT, ENDS = (None, None), ("", "_test")


def command():
    """The command line that is running, as one would type it."""
    return shlex.join([f"python {Path(sys.argv[0]).name}", *sys.argv[1:]]).replace("'python ", "python ").replace(".py'", ".py")


def about(cell, experiment, run=None):
    """What a report of a structure search says of itself."""
    told = {"cell": cell, "command": command(), "experiment": experiment, "versions": versions()}
    if run is not None:
        told |= {"config": (run / "config.yaml").read_text(encoding="utf-8"), "seed": run.config["seed"]}
    return told


def describe(folder, story, experiment, runs, safe):
    """Write what a sweep is, before it starts: sweep.json, and its runs relative to the pool in runs.csv.

    safe: plain values of its key `safe`, which only sentences use.
    """
    files.write_rows(folder / "runs.csv", ("run", "overrides"), runs)
    about = {"story": story, "experiment": experiment, "command": command(), "safe": safe}
    vouched = {"runs.csv": files.digest(folder / "runs.csv")}
    files.write_json(folder / "sweep.json", files.sealed({**about, "files": vouched}))


def pruning(folder, directories, about, unfinished=()):
    """Tables, figures and report.html in `folder`, from the finished runs in `directories`.  Returns a `Pruned`.

    about: command, experiment and the plain values of `safe`.
    """
    settings = joining.configurations(directories)
    joined, variants, first = {}, joining.variants_of(settings), read_result(directories[0])
    metric = metric_of(first)
    others = {metric_of(read_result(directory)).name for directory in directories} - {metric.name}
    if others:
        raise InputError(f"the jobs are judged by {metric.name} and {', '.join(others)}: one sweep and one report for each")
    for name in joining.TABLES:
        joining.join(folder, name, directories, variants)
        joined[name] = tables.read(folder / name)
    summary, results, survivors = joined["summary.csv"], joined["results.csv"], joined["survivors.csv"]
    if [folder] != list(directories) or not page.drawn(folder):  # a run has its own figures already
        figures.pruning(
            folder / "figures", summary, joined["curve.csv"], results, survivors, first.get("judge_baselines", {}), metric
        )
    config = from_yaml(directories[0] / "config.yaml", PruneConfig)
    curve = joined["curve.csv"] if about["safe"]["by"] == "curve" else None
    pruned = Pruned(summary, curve, metric, first["baselines"], about["safe"]["tolerance"], tuple(first.get("bounds", ())))
    about = {
        **about, "regain": plain(config.regain), "versions": first["versions"],
        "config": (directories[0] / "config.yaml").read_text(encoding="utf-8"),
    }  # fmt: skip
    held = control_rows(directories, variants) if config.controls else None
    costs = None
    weighed = [directory for directory in directories if (directory / "costs.csv").exists()]
    damaged = [directory for directory in weighed if ships(directory) is None]
    for directory in damaged:
        log.warning("%s: costs.csv or an export is damaged, or of before; the command that made it writes it anew", directory)
    if len(weighed) == len(directories) and not damaged:
        joining.join(folder, "costs.csv", directories, variants)
        costs = tables.read(folder / "costs.csv")
        worth.draw(folder / "figures", costs)
    methods.draw(folder / "figures", summary, results, metric)
    methods.draw_structures(folder / "figures", summary, metric)
    redundancy.draw_sizes(folder / "figures", summary, held, first, metric)
    beside = published_rows(directories, variants, about["experiment"])
    differing = joining.settings(settings)
    report.write(folder, pruned, results, about, held, unfinished, costs, beside, differing)
    return pruned


def published_rows(directories, variants, experiment):
    """(series, percent) -> what the study that an experiment repeats published there, in words."""
    found = {}
    for directory in directories if str(experiment).startswith("thesis_") else ():  # no other has a study to stand beside
        config = from_yaml(directory / "config.yaml", PruneConfig)
        key = tuple({**series_of(config), "variant": variants[directory]}[name] for name in tables.SERIES)
        for percent, told in thesis.beside(experiment, config, read_result(directory)).items():
            found[key, percent] = told
    return found


def structures(folder, directories, about, unfinished=()):
    """Joined tables and report.html of the finished searches in `directories`, into `folder`."""
    from espalier.analysis import structure_report  # here, for scikit-learn takes a second that other sweeps need not wait

    settings, joined = joining.configurations(directories), {}
    variants = joining.variants_of(settings)
    for name in ("results.csv", "dense.csv", "correlations.csv", "prediction.csv"):
        parts = []
        for directory in directories:
            config = from_yaml(directory / "config.yaml", StructureConfig)
            part = pd.read_csv(directory / name, dtype=str, keep_default_na=False)
            own = {"cell": config.cell, "variant": variants[directory]}
            own |= {} if "seed" in part else {"seed": str(config.seed)}
            parts.append(part.assign(**{key: value for key, value in own.items() if key not in part}))
        joined[name] = pd.concat(parts, ignore_index=True)
        files.write_text(folder / name, joined[name].to_csv(index=False, lineterminator="\n"))
    first = directories[0]
    told = {**about, "versions": read_result(first)["versions"], "config": (first / "config.yaml").read_text(encoding="utf-8")}
    results = [read_result(directory) for directory in directories]
    both = [tables.read(folder / name) for name in ("correlations.csv", "prediction.csv")]
    differing = joining.settings(settings)
    structure_report.compare(folder, both, results, told, metric_of(results[0]), unfinished, differing)


def control_rows(directories, variants):
    """What the controls of these runs reached, by series, seed and percent: a DataFrame."""
    rows = []
    for directory in directories:
        config = from_yaml(directory / "config.yaml", PruneConfig)
        config.outputs = str(directory.parents[2])  # the root of all runs
        metric = metric_of(read_result(directory))
        key = {**series_of(config), "variant": variants[directory]}
        alone = {"seed": config.seed, "trained_on": pruned_to(controls.trained_on(config), metric).get(0, NOT)}
        others = {"dropout": controls.with_dropout(config), "decay": controls.with_decay(config)}
        alone |= {f"{name}{end}": value for name, one in others.items() for end, value in zip(ENDS, trained_to(one, metric))}
        anew, gradual = (pruned_to(one, metric) for one in (controls.fresh(config), controls.gradual(config)))
        removed = read_result(directory).get("removed", {})
        for percent in controls.percents(config):
            small = controls.dense(config, percent)
            counts = removed.get(str(percent))
            found = {
                "dense": trained_to(small, metric), "fresh": anew.get(percent, NOT),
                "gradual": gradual.get(controls.gradual_percent(*counts), NOT) if counts else NOT,
            }  # fmt: skip
            values = {f"{name}{end}": value for name, pair in found.items() for end, value in zip(ENDS, pair)}
            units = small.model.hidden[0] if values["dense"] is not None else None
            rows.append({**key, **alone, "percent": percent, **values, "trained_on": alone["trained_on"][0], "units": units})
    return pd.DataFrame(rows)


def trained_to(config, metric):
    """What a training came to: (by what judges, on test), or NOT where there is none that is done."""
    result = config and train_run(config).result()
    if not result:
        return NOT
    judge = "val" if result["judge"] == "validation" else "test"
    return result[f"{judge}_{metric.name}"], result[f"test_{metric.name}"]


def pruned_to(config, metric):
    """Percent -> what a pruning job came to after retraining, as `trained_to` has it."""
    run = config and prune_run(config)
    if not run or not run.result():
        return {}
    summary = tables.read(run / "summary.csv")
    return dict(zip(summary["percent"], zip(tables.judged(summary, "best", metric), summary[f"best_test_{metric.name}"])))


def made_by(path):
    """The door that made a run's folder, or None if it is none."""
    kind = Path(path).resolve().parent.parent.name
    return kind if kind in RUNS and (Path(path) / "config.yaml").exists() else None


def listing(root, story):
    """(columns, rows as text) of all runs of a door: folder, whether it is done, and those settings in which they differ, cell
    first. Also written to `index.csv` beside the runs.  Raises: InputError if there are none.
    """
    directories = [path.parent for path in sorted((root / story).glob("*/seed_*/config.yaml"))]
    if not directories:
        raise InputError(f"list={root}: there is no run of {story}.py; it takes the root of all runs, such as list=outputs")
    settings = joining.configurations(directories)
    varied = joining.varied(settings, [name for name in OUTSIDE if name != "seed"])
    rows = [
        [str(directory.relative_to(root)), "done" if read_result(directory) else "not finished"]
        + [values.get(key, "") for key in varied]
        for directory, values in settings.items()
    ]
    columns = ["folder", "state", *varied]
    files.write_rows(root / story / "index.csv", columns, [dict(zip(columns, row)) for row in rows])
    return columns, rows


def loose(root, story, config, given):
    """Put the finished runs of a door in the root of all runs together as a sweep, whoever started them: another sweeper, or
    many commands.  given: keys of the command line, which choose the runs that have these values.  Returns: the folder.
    """
    if "experiment" in given:
        raise InputError(f"report={root} takes the runs that have the given values: name keys instead of experiment=")
    wanted = plain(config)
    chosen = [key for key in sorted(given) if key.split(".")[0] not in ("report", "outputs", "safe", "hydra")]
    runs = []
    for directory in sorted((root / story).glob("*/seed_*")):
        if read_result(directory):
            own = plain(from_yaml(directory / "config.yaml", CONFIGS[story]))
            if all(_at(own, key) == _at(wanted, key) for key in chosen):
                runs.append({"run": directory.relative_to(root), "overrides": f"{directory.parent.name} {directory.name}"})
    if not runs:
        told = " ".join(f"{key}={_at(wanted, key)}" for key in chosen)
        raise InputError(f"report={root}: there is no finished run of {story}.py" + (f" with {told}" if told else ""))
    name = hashlib.sha256(" ".join(str(one["run"]) for one in runs).encode()).hexdigest()[:8]
    folder = root / "sweeps" / f"{story}-report-{name}"
    describe(folder, story, None, runs, wanted.get("safe"))
    return folder


def _at(values, key):
    """The value at a dotted key of nested dicts, None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def again(path, story, safe):
    """Collect a sweep's folder, or a run's, anew from what is finished.  Returns (folder, a `Pruned`, None of searches; number
    unfinished).

    safe: values of the key `safe` that are others than they were.
    """
    folder = Path(path)
    sweep = files.read_json(folder / "sweep.json")
    sweep = sweep if isinstance(sweep, dict) and "story" in sweep else None
    own = made_by(path) if sweep is None else sweep["story"]
    if own is None:
        raise InputError(f"report={path} is no folder of a sweep (outputs/sweeps/...), of a run, or of all of them")
    if own != story:
        raise InputError(f"report={path} was made by {own}.py; {own}.py report={path} tells it again")
    whole = sweep is None or (files.untouched(sweep) and files.vouched(folder, sweep.get("files", {})) is None)
    if not whole:
        raise InputError(f"report={path}: sweep.json or runs.csv is damaged; the sweep's own command writes them anew")
    if sweep is None:
        runs = pd.DataFrame({"run": ["."], "overrides": [""]})
        sweep, root = {"experiment": None, "command": f"python {story}.py report={path}"}, folder
    else:
        runs, root = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False), folder.parents[1]
    states = [(root / run, overrides, read_result(root / run)) for run, overrides in runs.itertuples(index=False)]
    done = [directory for directory, _, result in states if result]
    if not done:
        raise InputError(f"report={path}: none of its {len(states)} runs is finished")
    unfinished = [(overrides, "not finished") for _, overrides, result in states if not result]
    about = {"command": sweep["command"], "experiment": sweep["experiment"]}
    if story == "structure_search":
        return folder, structures(folder, done, about, unfinished), len(unfinished)
    # A run alone, and a sweep of before, have it in their configuration.
    known = plain(from_yaml(done[0] / "config.yaml", PruneConfig).safe)
    told = sweep.get("safe", known)
    about["safe"] = known | (told if isinstance(told, dict) else {"tolerance": told}) | safe
    return folder, pruning(folder, done, about, unfinished), len(unfinished)
