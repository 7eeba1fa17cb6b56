"""The analysis of a search's table alone, of any origin (results=FILE): no torch, which takes longer to load than it takes."""

from pathlib import Path

from espalier import tasks
from espalier.analysis import structure
from espalier.runs import files, progress
from espalier.runs.identity import identity, plain
from espalier.studies.collect import about
from espalier.studies.plan import cores


def analyse_table(config, experiment):
    """results=FILE: only the analysis, of any table in the study's columns; a folder per cell where it holds several.

    Returns (folder, list of (cell, frame, correlations, prediction), the metric).
    """
    metric = tasks.load(config.task).metric
    frame = structure.read(config.results, config.predictor.folds, metric)
    path = Path(config.results)
    name = f"{path.stem}-{identity({'table': files.digest(path), 'predictor': plain(config.predictor), 'task': config.task})}"
    folder = Path(config.outputs) / "structure_analysis" / name
    found = []
    for mode, own in frame.groupby("mode", sort=False):
        cell = mode.lower()
        into = folder if frame["mode"].nunique() == 1 else folder / cell
        with progress.current.job(f"{cell}, {len(own)} rows", 1):
            own, told = own.reset_index(drop=True), about(cell, experiment)
            told = structure.analyse(into, own, config.predictor, told, metric=metric, cores=cores(config))
        found.append((cell, own, *told))
    return folder, found, metric
