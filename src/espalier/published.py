"""Loads what others published: checkpoints of the studies, in their own layout."""

import re

import torch

from espalier.errors import InputError
from espalier.graphs import layered
from espalier.nn import GraphClassifier, SequenceClassifier, gates

_RECURRENT = re.compile(r"recurrent\.recurrent_layers\.(\d+)\.(weight_ih|weight_hh|bias_ih|bias_hh)")
_MASK = re.compile(r"recurrent\.recurrent_layers\.(\d+)\.mask_(i2h|h2h)")
_GRAPH = re.compile(r"recurrent\.(recurrent|skip)_layers\.(\d+)\.(weight_ih|weight_hh|bias_ih|bias_hh|mask_i2h|mask_h2h)")
_OTHER = {"embedding.weight": "embedding.weight", "out.weight": "head.weight", "out.bias": "head.bias"}


def is_published(state_dict):
    """Whether the keys are those of the study of pruned recurrent networks."""
    return any(isinstance(key, str) and _RECURRENT.fullmatch(key) for key in state_dict)


def without_wrapper(state_dict):
    """A state dict without what all its keys begin with, such as the `module.` of DDP, the `_orig_mod.` of torch.compile or the
    `model.` of a LightningModule, and that beginning (empty where there is none).
    """
    begins = ""
    while state_dict and all(isinstance(key, str) and "." in key for key in state_dict):
        first = {key.partition(".")[0] for key in state_dict}
        if len(first) > 1:
            break
        (first,) = first
        begins += f"{first}."
        state_dict = {key.partition(".")[2]: value for key, value in state_dict.items()}
    return state_dict, begins


def translate(state_dict):
    """A state dict under the study's keys, under the keys of `SequenceClassifier`.

    `mask_i2h` and `mask_h2h` buffers are multiplied into the weights beside them; gates are in torch's order in both.

    Raises: InputError naming the keys that do not belong.
    """
    result, masks, unknown = {}, {}, []
    _refuse_oddities(state_dict)
    for key, value in state_dict.items():
        if key in _OTHER:
            result[_OTHER[key]] = value
        elif match := _RECURRENT.fullmatch(key):
            result[f"recurrent.layers.{match[1]}.{match[2]}_l0"] = value
        elif match := _MASK.fullmatch(key):
            masks[f"recurrent.layers.{match[1]}.weight_{'ih' if match[2] == 'i2h' else 'hh'}_l0"] = value
        else:
            unknown.append(key)
    if unknown:
        raise InputError(f"not a published sequence classifier: unknown keys {', '.join(map(str, unknown))}")
    for name, mask in masks.items():
        if name not in result or result[name].shape != mask.shape:
            raise InputError(f"the mask of {name} has no weight of its shape {tuple(mask.shape)} beside it")
        result[name] = result[name] * mask
    return result


def sequence_classifier(state_dict, cell, readout="last_step"):
    """The study's network (Embedding, recurrent layers, Linear) as a `SequenceClassifier`; sizes are read from the tensors.

    readout: `last_step`, how the study read it: the last time step of the padded batch.

    Raises: InputError if the tensors do not make up a network of this cell.
    """
    return build(translate(state_dict), cell, readout)


def graph_classifier(state_dict, graph, cell, readout="last_step", gate_mask="interleaved"):
    """The study's network wired like a random graph, as a `GraphClassifier` with `skip="separate"`.

    state_dict: `embedding.weight`, `recurrent.recurrent_layers.{l}.*`, `recurrent.skip_layers.{k}.*` (ordered by target, then
    source layer), `out.*`. Its `mask_i2h` and `mask_h2h` buffers say which weights count, in the study's own order of the
    vertices of a layer; where they are missing, the graph does, its vertices in the graph's order, by `gate_mask`.
    graph: any networkx graph.  readout: `last_step`, as the study read it.

    Raises: InputError if graph, cell and tensors do not belong together.
    """
    _refuse_oddities(state_dict)
    codes, width = _matrix(state_dict, "embedding.weight")
    outputs, _ = _matrix(state_dict, "out.weight")
    arguments = dict(width=width, codes=codes, outputs=outputs, readout=readout, gate_mask=gate_mask, init="uniform")
    model = GraphClassifier(graph, cell, skip="separate", **arguments)
    values = {}
    for key, value in state_dict.items():
        if match := _GRAPH.fullmatch(key):
            part = {"mask_i2h": "mask_ih", "mask_h2h": "mask_hh"}.get(match[3], match[3])
            values[f"recurrent.{'layers' if match[1] == 'recurrent' else 'skips'}.{match[2]}.{part}_l0"] = value
        else:
            values[_OTHER.get(key, key)] = value
    own = model.state_dict()
    unknown = [key for key in values if key not in own]
    missing = [key for key in own if key not in values and ".mask_" not in key]
    if unknown or missing:
        what = f"missing {', '.join(missing)}" if missing else f"unknown {', '.join(map(str, unknown))}"
        raise InputError(f"not the weights of {cell} on this graph of {len(layered(graph).layers)} layers: {what}")
    for key, value in values.items():
        if value.shape != own[key].shape:
            raise InputError(
                f"sizes do not fit: {key} is {tuple(value.shape)}, the graph and {cell} ask for {tuple(own[key].shape)}"
            )
        if ".mask_" in key and int(value.sum()) != int(own[key].sum()):
            raise InputError(f"{key} keeps {int(value.sum())} weights, the graph has edges for {int(own[key].sum())}")
        if not torch.isfinite(value).all():
            raise InputError(f"{key} holds values that are not finite")
    model.load_state_dict({**own, **values})
    return model


def build(state_dict, cell, readout="last_token"):
    """The `SequenceClassifier` that a state dict under its own keys describes, with these weights; of values where there is no
    embedding.

    Raises: InputError if keys are missing, sizes do not fit together or the weights are those of another cell.
    """
    _refuse_oddities(state_dict)
    layers = sorted(int(key.split(".")[2]) for key in state_dict if re.fullmatch(r"recurrent\.layers\.\d+\.weight_hh_l0", key))
    values = "embedding.weight" not in state_dict and any(key.startswith("recurrent.") for key in state_dict)
    needed = [*([] if values else ["embedding.weight"]), "head.weight", "head.bias"]
    needed += [f"recurrent.layers.{l}.{part}_l0" for l in layers for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    missing = [key for key in needed if not isinstance(state_dict.get(key), torch.Tensor)]
    unknown = [key for key in state_dict if key not in needed]
    if missing or unknown or not layers or layers != list(range(len(layers))):
        what = (
            f"missing {', '.join(missing)}"
            if missing
            else f"unknown {', '.join(map(str, unknown))}"
            if unknown
            else "no layers"
        )
        raise InputError(f"not a state dict of SequenceClassifier: {what}")
    hidden = []
    for l in layers:
        rows, columns = _matrix(state_dict, f"recurrent.layers.{l}.weight_hh_l0")
        if rows != gates(cell) * columns:
            raise InputError(
                f"not the weights of {cell}: weight_hh of layer {l} is {rows} x {columns}, {cell} has {gates(cell)} gates"
            )
        hidden.append(columns)
    outputs, read = _matrix(state_dict, "head.weight")
    sizes = {"outputs": outputs, **({"steps": read // hidden[-1]} if readout == "all_steps" else {})}
    if values:
        sizes["features"] = _matrix(state_dict, "recurrent.layers.0.weight_ih_l0")[1]
    else:
        sizes["codes"], sizes["embedding"] = _matrix(state_dict, "embedding.weight")
    model = SequenceClassifier(cell, hidden, **sizes, readout=readout, init="uniform")
    for name, parameter in model.named_parameters():
        if state_dict[name].shape != parameter.shape:
            raise InputError(f"sizes do not fit: {name} is {tuple(state_dict[name].shape)}, should be {tuple(parameter.shape)}")
        if not torch.isfinite(state_dict[name]).all():
            raise InputError(f"{name} holds values that are not finite")
    model.load_state_dict(state_dict)
    return model


def _refuse_oddities(state_dict):
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise InputError(f"not a state dict: the key {key!r} is no name")
        if not isinstance(value, torch.Tensor):
            raise InputError(f"not a state dict: {key} is no tensor")
        mask = ".mask_" in key
        if value.layout != torch.strided or not (value.is_floating_point() or mask):
            raise InputError(f"{key} is {value.layout}, {value.dtype}; it must be a dense tensor of floating point numbers")


def _matrix(state_dict, key):
    if key not in state_dict:
        raise InputError(f"not a state dict of this kind: missing {key}")
    if state_dict[key].dim() != 2 or 0 in state_dict[key].shape:
        raise InputError(f"sizes do not fit: {key} is {tuple(state_dict[key].shape)}, should be a matrix")
    return tuple(state_dict[key].shape)
