"""Attention whose query is narrower than what it gives out, which torch's own does not take."""

import torch
from torch import nn
from torch.nn import functional as F


class NarrowQuery(nn.MultiheadAttention):
    """`nn.MultiheadAttention` that takes some channels of its query, and has zeros in the place of the others.

    query_dim: how many channels it takes; `places`, a buffer `(embed_dim,)`, says which of them stands where, `query_dim` for
    zero. The rest is as in torch.
    """

    def __init__(self, embed_dim, num_heads, query_dim, **more):
        super().__init__(embed_dim, num_heads, **more)
        self.query_dim = query_dim
        self.register_buffer("places", torch.arange(embed_dim).clamp(max=query_dim))

    def forward(self, query, key, value, *more, **named):
        return super().forward(F.pad(query, (0, 1))[..., self.places], key, value, *more, **named)


def narrow_query(module, gone):
    """Let an `nn.MultiheadAttention` take a query without the channels that the columns `gone` read, as a `NarrowQuery`."""
    before = columns_of(module)
    stay = {number: place for place, number in enumerate(n for n, column in enumerate(before) if column not in gone)}
    places = torch.full((module.embed_dim,), len(stay), device=module.out_proj.weight.device)
    for number, place in stay.items():
        places[before[number]] = place
    module.__class__ = NarrowQuery
    module.query_dim = len(stay)
    module.register_buffer("places", places)


def columns_of(module):
    """The column of the weights of an `nn.MultiheadAttention` that reads each channel of its query."""
    if not isinstance(module, NarrowQuery):
        return list(range(module.embed_dim))
    places = module.places.tolist()
    return [places.index(number) for number in range(module.query_dim)]


def reading(module):
    """What reads the query, the keys and the values of an `nn.MultiheadAttention`: (name, parameter, its first row) of each;
    a name of its own where it is only some of the rows, or stays as wide as it is.
    """
    if module._qkv_same_embed_dim:
        parts = enumerate(("query", "key", "value"))
        return [(f"in_proj_weight#{part}", "in_proj_weight", k * module.embed_dim) for k, part in parts]
    query = ("q_proj_weight#query", "q_proj_weight", 0)
    return [query, ("k_proj_weight", "k_proj_weight", 0), ("v_proj_weight", "v_proj_weight", 0)]
