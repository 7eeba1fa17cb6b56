"""What the command line calls: one job of a story, and the end of a sweep. Imports torch only when a job runs."""

import importlib
import os
import shlex
import sys
from pathlib import Path

from rich.console import Console

from espalier.errors import InputError
from espalier.runs import progress
from espalier.runs.files import read_json
from espalier.runs.identity import plain
from espalier.runs.pace import Pace
from espalier.runs.run import read_result
from espalier.settings import notes, to_config
from espalier.studies import checking, controls, objective
from espalier.studies.plan import RUNS, shipped
from espalier.tasks import metric_of


def importable(runtime):
    """Make the folder where the command was given, and that of -cd, importable, here and in processes that start from here."""
    places = [source.path for source in runtime.config_sources if source.provider == "command-line"]
    for place in (runtime.cwd, *places):
        if place not in sys.path:
            sys.path.insert(0, place)
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys((*reversed((runtime.cwd, *places)), *others)))


def console():
    return Console(highlight=False, soft_wrap=True, markup=False)


def run_job(story, composed, sweeping, parallel=False, experiment=None, given=()):
    """Run one job.  Returns: its directory as text, or the number that `objective` names; a job alone also says what came out.

    parallel: this process is a worker beside others, whose progress is shown by the sweep.  experiment: its name, or None.
    given: the keys that the command line sets.
    """
    if story not in RUNS:
        raise InputError(f"hydra.job.name={story}: it must stay {', '.join(RUNS)}, which says what runs")
    config = to_config(composed)
    if getattr(config, "report", None) is not None:
        return tell_again(story, config, experiment, given)
    if config.list is not None:
        return tell_list(story, config)
    if getattr(config, "results", None) is not None:
        return tell_table(config, experiment)
    if not sweeping:
        progress.current.pace = Pace(Path(config.outputs) / "pace.json")
        for note in notes(config):
            progress.current.say(f"note: {note}")
    run = RUNS[story](config)
    if not sweeping and (config.force or not run.result()):
        checking.check([config])
    if parallel:
        remote = progress.current = progress.Remote(run / "status.json", f"{run.name} {run.directory.name}")
        try:
            work(story, config, run, experiment)
        except BaseException as error:
            remote.write("failed", type(error).__name__)
            raise
        remote.write("done", "")
    else:
        work(story, config, run, experiment)
    if not sweeping:
        tell_alone(story, run, config)
    return str(run.directory) if config.objective is None else objective.value(story, config, run.directory)


def work(story, config, run, experiment):
    """The run itself and its controls, as far as they are not done."""
    if not config.force and run.result() and getattr(config, "predict", None) is None:
        progress.current.say(f"done before: {run.directory}")
    else:
        importlib.import_module(f"espalier.studies.{story}").job(config, experiment)
    if not controls.done(config):
        controls.run(config)
    if story == "prune" and not shipped(config):
        from espalier.studies import ship

        ship.run(config)


def tell_alone(story, run, config):
    """What came out of a job that is no part of a sweep."""
    if story == "prune":
        from espalier.studies import collect

        about = {"command": collect.command(), "experiment": None, "safe": plain(config.safe)}
        tell_pruning(collect.pruning(run.directory, [run.directory], about))
    elif story == "structure_search":
        tell_structure(run.directory)
        if config.predict is not None:
            console().print(read_json(run / f"predict_{config.predict}" / "prediction.json")["told"])
    else:
        result = run.result()
        name, split = metric_of(result).name, "val" if result["judge"] == "validation" else "test"
        told = f"{split} {name} {result[f'{split}_{name}']:.4f}, test {name} {result[f'test_{name}']:.4f}"
        without = f"; without learning: {rules(result['baselines'])}" if result["baselines"] else ""
        console().print(f"best epoch {result['best_epoch']}: {told}{without}")
    tell_places(run.directory, config)


def tell_structure(directory):
    """The strongest correlations and the sentences of one search, from its files."""
    from espalier.analysis import structure, tables

    found = [tables.read(directory / f"{name}.csv") for name in ("results", "correlations", "prediction")]
    structure.overview(*found, console(), metric_of(read_result(directory)))


def tell_table(config, experiment):
    """results=FILE."""
    from espalier.analysis import structure
    from espalier.studies.search_table import analyse_table

    folder, found, metric = analyse_table(config, experiment)
    for cell, *told in found:
        if len(found) > 1:
            console().print(f"{cell}:", style="bold")
        structure.overview(*told, console(), metric)
    config.logger.tensorboard = False  # an analysis writes no events
    tell_places(folder, config)
    return str(folder)


def tell_list(story, config):
    """list=DIR: which run is which."""
    from rich.table import Table

    from espalier.studies import collect

    root = Path(config.list)
    columns, rows = collect.listing(root, story)
    shown = Table(title=f"{len(rows)} runs of {story}.py in {root}")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console().print(shown)
    console().print(f"Table: {root / story / 'index.csv'}")
    return str(root)


def tell_again(story, config, experiment, given):
    """report=DIR, with the `safe` that its sweep had unless the command line gives another."""
    from espalier.studies import collect

    if story == "structure_search" and collect.made_by(config.report) == story:  # one search, finished or half-way
        from espalier.studies.structure_search import analyse_again

        folder, left = Path(config.report), 0
        analyse_again(folder, experiment)
        tell_structure(folder)
    else:
        safe = plain(config.safe) if story == "prune" else {}
        safe, folder, left = {key: value for key, value in safe.items() if f"safe.{key}" in given}, Path(config.report), 0
        if story == "prune" and (folder / "table.csv").is_file():  # made elsewhere
            from espalier.studies import elsewhere

            pruned = elsewhere.again(folder, config.task, safe)
        elif (folder / story).is_dir():  # all runs that there are
            folder, pruned, left = collect.again(collect.loose(folder, story, config, given), story, safe)
        else:
            folder, pruned, left = collect.again(folder, story, safe)
        if story == "prune":
            tell_pruning(pruned)
    if left:
        console().print(f"{left} runs are not finished; the sweep's own command does them")
    tell_places(folder, config)
    return str(folder)


def finish_sweep(story, sweep, before):
    """Join the tables of all finished jobs, draw the figures over them, and say what came out and what failed."""
    from espalier.studies import collect

    done = [job.run.directory for job in sweep.jobs if job.run.result()]
    config = sweep.jobs[0].config
    if before:
        console().print(f"{before} of {len(sweep.jobs)} jobs {'was' if before == 1 else 'were'} done before")
    if done and story != "train":
        reasons = {" ".join(overrides): reason for overrides, reason, _ in sweep.failures}
        missing = [" ".join(job.overrides) for job in sweep.jobs if job.run.directory not in set(done)]
        unfinished = [(overrides, reasons.get(overrides, "not finished")) for overrides in missing]
        about = {"command": collect.command(), "experiment": sweep.experiment}
        if story == "prune":
            about["safe"] = plain(config.safe)
            tell_pruning(collect.pruning(sweep.directory, done, about, unfinished))
        else:
            collect.structures(sweep.directory, done, about, unfinished)
            for job in sweep.jobs:
                if job.run.directory in done:
                    console().print(" ".join(job.overrides), style="bold")
                    tell_structure(job.run.directory)
    elif done:
        from espalier.analysis import joining

        joining.join(sweep.directory, "results.csv", done)
        for job in sweep.jobs:
            if result := job.run.result():
                told = f"{result['cell']} seed {result['seed']}: best epoch {result['best_epoch']}"
                name = metric_of(result).name
                console().print(f"{told}, test {name} {result[f'test_{name}']:.4f}")
    if done:
        tell_places(sweep.directory, config)
    common = set.intersection(*(set(job.overrides) for job in sweep.jobs)) if len(sweep.jobs) > 1 else set()
    for overrides, reason, log in sweep.failures:
        which = " ".join(override for override in overrides if override not in common) or "the job"
        console().print(f"failed: {which}: {reason} (log: {log})", style="bold red")


def tell_pruning(pruned):
    from espalier.analysis import methods, sentences

    metric = pruned.metric
    sentences.print_overview(pruned.summary, pruned.safe, console(), metric, pruned.rules, pruned.curve)
    for sentence in methods.compare(pruned.summary, metric)[0]:
        console().print(sentence)
    if pruned.baselines:
        console().print(f"Without learning ({metric.label} on test): {rules(pruned.baselines)}.")


def tell_places(directory, config):
    print = console().print
    print(f"Tables: {directory}")
    if (directory / "figures").exists():
        print(f"Figures: {directory / 'figures'}")
    if (directory / "report.html").exists():
        print(f"Report: {directory / 'report.html'}")
    if config.logger.tensorboard:
        print(f"TensorBoard: tensorboard --logdir {config.outputs}")


def rules(baselines):
    return ", ".join(f"{name} {value:.4f}" for name, value in baselines.items())


def refuse_forgotten_sweep(hydra, given):
    """Without -m an experiment that sweeps would run one job with defaults, silently.  Raises: InputError with the command.

    given: the keys that the command line sets.
    """
    left = [key for key in hydra.sweeper.params or {} if key not in given]
    if left and not given & {"report", "results", "list"}:
        command = shlex.join(["python", f"{hydra.job.name}.py", "-m", *sys.argv[1:]])
        raise InputError(f"this experiment sweeps {', '.join(left)}; run it as a sweep: {command}")
