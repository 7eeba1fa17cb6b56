"""Weights of a wide network as those of a narrow one: what torch draws depends on the width."""

import torch

from espalier.pruning.structures import every_unit


@torch.no_grad()
def rescale(model, masks):
    """Make the weights of the units that masks keep, fresh as torch drew them, what it would have drawn in a network of these
    units alone: it draws recurrent layers from U(-1/sqrt(hidden), 1/sqrt(hidden)), linear ones by their inputs.

    masks: of whole units; the model is changed in place. Orthogonal matrices of plain cells are treated alike.
    """
    linear = {}  # weight -> (layer, which of its columns stay)
    for one in every_unit(model):
        kept = masks[one.rows[0]].view(one.gates, one.hidden, -1).any(2).any(0) if one.rows[0] in masks else None
        if kept is None or not kept.any():
            continue
        if hasattr(one.owner, "hidden_size"):
            for name in one.rows:
                model.get_parameter(name).mul_((one.hidden / int(kept.sum())) ** 0.5)
        for column in one.feeds:
            if column.linear is not None:
                _, stays = linear.setdefault(column.name, (column.linear, torch.ones(column.weight.shape[1], dtype=torch.bool)))
                stays[column.first : column.first + one.hidden] = kept
    for layer, stays in linear.values():
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                parameter.mul_((len(stays) / int(stays.sum())) ** 0.5)
