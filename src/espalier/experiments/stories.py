"""What the command line calls: one job of a story, and the end of a sweep. Imports torch only when a job runs."""

import importlib
from pathlib import Path

from espalier.errors import InputError
from espalier.experiments.config import to_config
from espalier.experiments.plan import RUNS


def run_job(story, composed, sweeping):
    """Run one job.  Returns: its directory as text; a job alone also says what came out."""
    from rich.console import Console

    from espalier.runs import progress

    config = to_config(composed)
    run = RUNS[story](config)
    if not config.force and run.result():
        progress.current.say(f"done before: {run.directory}")
    else:
        job = importlib.import_module(f"espalier.experiments.{story}").job
        job(config)
    if not sweeping:
        console = Console(highlight=False, soft_wrap=True)
        if story == "prune":
            tell_pruning(console, [run], config.safe.tolerance)
        else:
            result = run.result()
            told = ", ".join(
                f"{split} {result[f'{split}_accuracy']:.4f}"
                for split in ("val", "test")
                if result[f"{split}_accuracy"] is not None
            )
            console.print(f"best epoch {result['best_epoch']}: {told}; trivial rules: {rules(result['baselines'])}")
        tell_places(console, run.directory, config)
    return str(run.directory)


def finish_sweep(story, sweep, before):
    """Join the tables of all finished jobs, draw the figures over them, and say what came out and what failed."""
    import pandas as pd
    from rich.console import Console

    from espalier.runs import files

    console = Console(highlight=False, soft_wrap=True)
    done = [job.run for job in sweep.jobs if job.run.result()]
    states = [
        {"run": str(job.run.directory), "state": "done" if job.run in done else "missing", "overrides": " ".join(job.overrides)}
        for job in sweep.jobs
    ]
    files.write_rows(sweep.directory / "runs.csv", ("run", "state", "overrides"), states)
    config = sweep.jobs[0].config
    if before:
        console.print(f"{before} of {len(sweep.jobs)} jobs were done before")
    if done:
        names = ("results.csv", "summary.csv", "curve.csv", "survivors.csv") if story == "prune" else ("results.csv",)
        for name in names:
            files.write_text(sweep.directory / name, joined([run / name for run in done]))
        if story == "prune":
            from espalier.analysis import figures, tables

            summary, curve, rows, survivors = (
                tables.read(sweep.directory / name) for name in ("summary.csv", "curve.csv", "results.csv", "survivors.csv")
            )
            baselines = done[0].result()["baselines"]
            figures.pruning(sweep.directory / "figures", summary, curve, rows, survivors, baselines)
            tell_pruning(console, done, config.safe.tolerance)
        else:
            rows = pd.DataFrame([{**run.result(), "run": run.name} for run in done])
            for row in rows.itertuples():
                console.print(f"{row.cell} seed {row.seed}: best epoch {row.best_epoch}, test accuracy {row.test_accuracy:.4f}")
    tell_places(console, sweep.directory, config)
    for overrides, reason, log in sweep.failures:
        console.print(f"failed: {' '.join(overrides) or 'defaults'}: {reason} (log: {log})", style="bold red")


def tell_pruning(console, runs, tolerance):
    import pandas as pd

    from espalier.analysis import tables

    summary = pd.concat([tables.read(run / "summary.csv") for run in runs], ignore_index=True)
    tables.print_overview(summary, tolerance, console)
    baselines = runs[0].result()["baselines"]
    console.print(f"Without learning (accuracy on test): {rules(baselines)}.")


def tell_places(console, directory, config):
    console.print(
        f"Tables and figures: {directory} ({directory / 'figures'})"
        if (directory / "figures").exists()
        else f"Tables: {directory}"
    )
    if config.logger.tensorboard:
        console.print(f"TensorBoard: tensorboard --logdir {config.outputs}")


def rules(baselines):
    return ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in baselines.items())


def joined(paths):
    """The rows of several CSVs below one header."""
    parts = [Path(path).read_text().split("\n", 1) for path in paths]
    return parts[0][0] + "\n" + "".join(rows for _, rows in parts)


def refuse_forgotten_sweep(hydra):
    """Without -m an experiment that sweeps would run one job with defaults, silently.  Raises: InputError with the command."""
    given = {override.split("=", 1)[0].lstrip("+~") for override in hydra.overrides.task}
    left = [key for key in hydra.sweeper.params or {} if key not in given]
    if left:
        command = f"python {hydra.job.name}.py -m {' '.join(hydra.overrides.task)}"
        raise InputError(f"this experiment sweeps {', '.join(left)}; run it as a sweep: {command}")
