"""The lines of Python that rebuild a shrunk network around its state dict."""

from torch import nn

from espalier.pruning.attention import NarrowQuery
from espalier.pruning.units import RECURRENT

#: Layers that are made anew: kind -> (arguments that come first, keywords with their usual values).
KINDS = {
    nn.Linear: (("in_features", "out_features"), {}),
    nn.Embedding: (("num_embeddings", "embedding_dim"), {"padding_idx": None, "max_norm": None}),
    nn.Conv1d: (
        ("in_channels", "out_channels", "kernel_size"),
        {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1, "padding_mode": "zeros"},
    ),
    nn.MultiheadAttention: (
        ("embed_dim", "num_heads"),
        {"dropout": 0.0, "add_zero_attn": False, "batch_first": False},
    ),
    NarrowQuery: (
        ("embed_dim", "num_heads", "query_dim"),
        {"dropout": 0.0, "add_zero_attn": False, "batch_first": False},
    ),
    nn.BatchNorm1d: (("num_features",), {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}),
}
#: Modules of torch with parameters of any width beside those, which are set by themselves.
HOLDERS = (nn.PReLU, nn.ParameterList, nn.ParameterDict)


def lines(model, file):
    """The lines of Python that rebuild a network of this size and load `file` into it."""
    own = getattr(model, "rebuild", None)
    head = ["import torch"]
    head += ["import espalier"] if any(type(module) is NarrowQuery for module in model.modules()) else []
    if own is not None:
        head += [own[0], "", f"model = {own[1]}"]
    elif type(model) in (*RECURRENT, *KINDS):
        head += ["", f"model = {_call(model)}"]
    else:
        head += ["", f"# model: an instance of your {type(model).__name__}, made as it was before it was shrunk"]
        head += [
            f"{_path(name)} = {_call(module)}" for name, module in model.named_modules() if type(module) in (*RECURRENT, *KINDS)
        ]
        head += _parameters(model)
        head += [f"{_path(name)} = {value}" for name, value in getattr(model, "adapted", {}).items()]
    return [*head, f'model.load_state_dict(torch.load("{file}", weights_only=True))']


def _parameters(model):
    """Lines of parameters and buffers that are no layer's, and of weights that are tied to another's."""
    told, first = [], {}
    for place, module in model.named_modules():
        known = type(module) in (*RECURRENT, *KINDS)
        for short, one in (*module._parameters.items(), *module._buffers.items()):
            if one is None or short in module._non_persistent_buffers_set:
                continue
            name = f"{place}.{short}" if place else short
            if id(one) in first:
                told.append(f"{_path(name)} = {_path(first[id(one)])}")
                continue
            first[id(one)] = name
            if not known and (isinstance(module, HOLDERS) or not type(module).__module__.startswith("torch.nn")):
                made = f"torch.empty({tuple(one.shape)}, dtype={one.dtype})"
                if isinstance(one, nn.Parameter):
                    told.append(f"{_path(name)} = torch.nn.Parameter({made})")
                else:
                    told.append(f"{_path(place)}.register_buffer({short!r}, {made})")
    return told


def _path(name):
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in name.split(".") if part)


def _call(module):
    """The expression that makes a module like this one."""
    if type(module) in KINDS:
        first, usual = KINDS[type(module)]
        given = [getattr(module, name) for name in first]
        more = {name: (getattr(module, name), value) for name, value in usual.items()}
        if type(module) in (nn.Linear, nn.Conv1d):
            more["bias"] = module.bias is not None, True
        if isinstance(module, nn.MultiheadAttention):
            more |= {name: (getattr(module, name), module.embed_dim) for name in ("kdim", "vdim")}
            more |= {"bias": (module.in_proj_bias is not None, True), "add_bias_kv": (module.bias_k is not None, False)}
    else:
        given, more = [module.input_size, module.hidden_size], {"bias": (module.bias, True)}
        if isinstance(module, (nn.RNN, nn.RNNCell)):
            more["nonlinearity"] = (module.nonlinearity, "tanh")
        if isinstance(module, nn.RNNBase):
            usual = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0}
            more |= {name: (getattr(module, name), value) for name, value in usual.items()}
    told = [*map(str, given), *(f"{name}={value!r}" for name, (value, default) in more.items() if value != default)]
    dtype = next((one.dtype for one in module.parameters()), None)
    told += [f"dtype={dtype}"] if dtype is not None and str(dtype) != "torch.float32" else []
    package = "espalier" if type(module) is NarrowQuery else "torch.nn"
    return f"{package}.{type(module).__name__}({', '.join(told)})"
