"""Ship: every level of a finished pruning job shrunk, exported and weighed, beside the results and not part of them."""

import logging

import torch

from espalier.analysis import worth as figures
from espalier.errors import InputError
from espalier.learning.bases import load_base, load_own, rebuild
from espalier.learning.bench import Bench
from espalier.pruning import shrink
from espalier.pruning.c.check import PASSES
from espalier.pruning.c.network import Network
from espalier.pruning.costs import STEPS, worth
from espalier.pruning.export import export
from espalier.pruning.onnx_session import milliseconds
from espalier.pruning.running import maker
from espalier.pruning.units import known_readers
from espalier.runs import files, progress
from espalier.settings.model import Model
from espalier.studies.plan import SUFFIX, base_start, base_training, label, prune_run, series_of
from espalier.studies.train import runner_of

log = logging.getLogger(__name__)

COSTS = (
    "cell", "target", "score", "scope", "seed", "percent", "network", "parameters", "nonzero", "bytes", "multiply_adds", "ms_1",
    "ms_1_low", "ms_1_high", "ms_32", "ms_32_low", "ms_32_high", "repeats", "file_bytes",
    "onnx_bytes", "onnx_difference", "onnx_ms_1", "int8_bytes", "int8_error", "int8_ms_1", "c_difference", "note",
)  # fmt: skip


def _networks(config):
    """(a function from the file of a level, or None for the base, to its network on the CPU; example inputs, None where the
    network knows its own).
    """
    runner, start = runner_of(config), base_start(config)
    file = runner.weights_file(start)
    if isinstance(config.model, Model):

        def network(path):
            if path is None and config.base:
                return load_base(file, base_training(config))
            return rebuild(files.load_tensors(path or file, "level"))

        return network, None
    bench = Bench(base_training(config), config.seed, torch.device("cpu"))
    return lambda path: load_own(path or file, bench.network()), bench.example


def run(config):
    """Shrink, export and weigh every level."""
    its, levels, rows = prune_run(config), {}, []
    network, example = _networks(config)
    percents = its.result().get("percents", config.percent)
    key = {**series_of(config), "seed": config.seed}
    with its.logging("prune"), progress.current.job(f"{config.cell} {label(config)}, export", len(percents) + 1):
        torch.set_num_threads(config.threads)
        shrunk, written = {}, {}
        for percent in percents:
            path = its / "levels" / f"{percent}.pt"
            masked = network(path)
            levels[str(percent)] = own = {"level": files.digest(path)}
            try:
                tell = lambda line, percent=percent: log.info("%s %%: %s", percent, line)  # noqa: E731
                small = shrink(masked, say=tell, example=example if known_readers(masked) is None else None)
            except InputError as error:
                own["nothing_left"] = str(error)
                rows.append({**key, "percent": percent, "network": "shrunk", "note": str(error)})
                progress.current.advance(1, f"level {percent} %: {error}", line=True)
                continue
            shrunk[percent] = masked, small
            written[percent] = exported(config, its, percent, small, example)
            progress.current.advance(1, f"level {percent} %: shrunk and written", line=True)
        weighed = worth(network(None), shrunk, example, threads=config.threads)
        for percent, found in weighed.items():
            of_shrunk, programs = written[percent]
            for row in [*found, *programs]:
                row["network"] = row.pop("name")
                rows.append({**key, "percent": percent, **row, **(of_shrunk if row["network"] == "shrunk" else {})})
        rows.sort(key=lambda row: row["percent"])  # stable: a level's networks stay in their order
        progress.current.advance(1, "weighed")
        gains(weighed, written)
        files.write_rows(its / "costs.csv", COSTS, rows)
        figures.draw(its / "figures", rows)
        named = sorted(path.name for path in (its / "export").glob("[!.]*") if path.name != "done.json")
        names = ["costs.csv", *(f"export/{name}" for name in named)]
        digests = {name: files.digest(its / name) for name in names}
        files.write_json(its / "export" / "done.json", files.sealed({"levels": levels, "files": digests}))


def exported(config, its, percent, small, example):
    """Write a level in the formats that are asked for.  Returns (columns of the row of the shrunk network; rows of C)."""
    columns, programs, traced = {}, [], None
    for name in config.export:
        quantize = "int8" if name.endswith("int8") else None
        path = its / "export" / f"{percent}{SUFFIX[name]}"
        if name in ("c", "c_int8"):
            traced = traced or Network(small, example)
            one = traced.write(path, quantize=quantize)
            row = {"name": name, "bytes": one["bytes"], "repeats": PASSES}
            passed = traced.latency(STEPS, quantize=quantize)
            row |= dict(zip(("ms_1", "ms_1_low", "ms_1_high"), passed or ()))
            called = {"c_difference": "difference", "int8_error": "error", "note": "note"}
            programs.append(row | {ours: one.get(theirs) for ours, theirs in called.items()})
            continue
        (one,) = export(small, path, example, say=None, quantize=quantize)
        if name == "torch":
            columns["file_bytes"] = one["bytes"]
            continue
        taken = milliseconds(one, maker(small, example)(1, STEPS))
        columns |= {f"{name}_bytes": one["bytes"], f"{name}_ms_1": taken}
        columns |= {"int8_error": one["error"]} if quantize else {"onnx_difference": one["difference"]}
    return columns, programs


def gains(weighed, written):
    """Say how many times as fast as dense every level is."""
    for percent, found in weighed.items():
        now = {row["network"]: row for row in [*found, *written[percent][1]]}
        told = [
            f"{called} {now['dense']['ms_1'] / now[network]['ms_1']:.1f}"
            for network, called in (("shrunk", "shrunk"), ("c", "in C"), ("c_int8", "in C, int8"))
            if network in now and now[network].get("ms_1")
        ]
        progress.current.advance(0, f"level {percent} %: {', '.join(told)} times as fast as dense", line=True)
