"""Ship: every level of a finished pruning job shrunk, exported and weighed, beside the results and not part of them."""

import logging

import torch

from espalier.analysis import worth as figures
from espalier.errors import InputError
from espalier.learning.bases import load_base, load_own, rebuild
from espalier.learning.bench import Bench
from espalier.pruning import onnx, shrink
from espalier.pruning.c.network import Network
from espalier.pruning.costs import STEPS, worth
from espalier.pruning.export import export
from espalier.pruning.running import maker
from espalier.pruning.units import known_readers
from espalier.runs import files, progress
from espalier.settings.model import Model
from espalier.studies.plan import SUFFIX, base_start, base_training, label, prune_run, series_of
from espalier.studies.train import runner_of

log = logging.getLogger(__name__)

COSTS = (
    "cell", "target", "score", "scope", "seed", "percent", "network", "parameters", "nonzero", "bytes", "multiply_adds", "ms_1",
    "ms_32", "file_bytes", "onnx_bytes", "onnx_difference", "onnx_ms_1", "int8_bytes", "int8_error", "int8_ms_1",
    "c_difference", "note",
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
    dense = network(None)
    percents = its.result().get("percents", config.percent)
    key = {**series_of(config), "seed": config.seed}
    with its.logging("prune"), progress.current.job(f"{config.cell} {label(config)}, export", len(percents)):
        torch.set_num_threads(config.threads)
        for percent in percents:
            path = its / "levels" / f"{percent}.pt"
            masked = network(path)
            own = levels[str(percent)] = {"level": files.digest(path)}
            try:
                tell = lambda line, percent=percent: log.info("%s %%: %s", percent, line)  # noqa: E731
                small = shrink(masked, say=tell, example=example if known_readers(masked) is None else None)
            except InputError as error:
                own["nothing_left"] = str(error)
                rows.append({**key, "percent": percent, "network": "shrunk", "note": str(error)})
                progress.current.advance(1, f"level {percent} %: {error}", line=True)
                continue
            found = worth(dense, masked, small, example, threads=config.threads)
            written, programs, traced = {}, [], None
            for name in config.export:
                quantize = "int8" if name.endswith("int8") else None
                path = its / "export" / f"{percent}{SUFFIX[name]}"
                if name in ("c", "c_int8"):
                    traced = traced or Network(small, example)
                    one, passed = traced.write(path, quantize=quantize), traced.milliseconds(STEPS, quantize=quantize)
                    row = {"name": name, "bytes": one["bytes"], "ms_1": passed}
                    told = {"c_difference": "difference", "int8_error": "error", "note": "note"}
                    programs.append(row | {ours: one.get(theirs) for ours, theirs in told.items()})
                    continue
                (one,) = export(small, path, example, say=None, quantize=quantize)
                if name == "torch":
                    written["file_bytes"] = one["bytes"]
                    continue
                taken = onnx.milliseconds(one, maker(small, example)(1, STEPS))
                written |= {f"{name}_bytes": one["bytes"], f"{name}_ms_1": taken}
                written |= {"int8_error": one["error"]} if quantize else {"onnx_difference": one["difference"]}
            for row in [*found, *programs]:
                row["network"] = row.pop("name")
                extra = {k: v for k, v in written.items() if k in COSTS} if row["network"] == "shrunk" else {}
                rows.append({**key, "percent": percent, **row, **extra})
            now = {row["network"]: row for row in [*found, *programs]}
            gains = [
                f"{called} {now['dense']['ms_1'] / now[network]['ms_1']:.1f}"
                for network, called in (("shrunk", "shrunk"), ("c", "in C"), ("c_int8", "in C, int8"))
                if network in now and now[network]["ms_1"]
            ]
            progress.current.advance(1, f"level {percent} %: {', '.join(gains)} times as fast as dense", line=True)
        files.write_rows(its / "costs.csv", COSTS, rows)
        figures.draw(its / "figures", rows)
        exported = sorted(path.name for path in (its / "export").glob("[!.]*") if path.name != "done.json")
        names = ["costs.csv", *(f"export/{name}" for name in exported)]
        digests = {name: files.digest(its / name) for name in names}
        files.write_json(its / "export" / "done.json", files.sealed({"levels": levels, "files": digests}))
