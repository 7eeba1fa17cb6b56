"""What a pruning job draws of its networks, beside its tables: the units that a score looked at, and forecasts."""

import torch

from espalier.analysis import redundancy
from espalier.pruning.context import Context
from espalier.pruning.running import untouched
from espalier.pruning.structures import hidden_units
from espalier.pruning.unit_scores import variation

#: Values of a forecast that are drawn at most, and networks, the base and the last among them.
MOST, NETWORKS = 240, 4


def draw(folder, bench, networks, score):
    """networks: function without arguments that makes them, title -> network, the base first.  score: the name of one of ours,
    or keys.
    """
    moves, forecast = score == "variation", bench.task.proportional and "steps" in bench.host.sizes
    made = networks() if moves or forecast else {}
    if moves:
        redundancy.draw(folder, passes(bench, made))
    if forecast:
        redundancy.draw_forecast(folder, *forecasts(bench, made), bench.task.metric)


def passes(bench, networks):
    """(title, shares `(sequences, units)`, points, their middle) of every layer of every network, of the units that move."""
    told = []
    for title, network in networks.items():
        batches = [tuple(batch[:-1]) for batch in bench.batches(bench.judge)]
        units = hidden_units(network)
        for one, share in variation.shares(units, Context(network, batches, None)).items():
            share = share[:, share.amax(0) > 0]
            points, middle = variation.points(share.amin(0), share.amax(0), share.mean(0))
            name = f"{title}, {one.place}" if len(units) > 1 else title
            told.append((name, *(part.numpy() for part in (share, points, middle))))
    return told


@torch.no_grad()
def forecasts(bench, networks):
    """(what came, what each network said: title -> values), of the first test windows, one after the other, in the series' own
    unit.
    """
    chosen = list(networks)
    if len(chosen) > NETWORKS:
        chosen = [chosen[round(k * (len(chosen) - 1) / (NETWORKS - 1))] for k in range(NETWORKS)]
    host, split = bench.host, bench.splits.test
    count = max(1, MOST // split.targets.shape[1])
    inputs = [one[:count] for one in split.inputs]
    said = {}
    for title in chosen:
        with untouched(networks[title]):
            outputs = networks[title].eval()(*inputs).reshape(-1)
        said[title] = (host.origin + host.unit * outputs).cpu().numpy()
    return (host.origin + host.unit * split.targets[:count]).reshape(-1).cpu().numpy(), said
