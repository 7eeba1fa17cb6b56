"""Traces what moves, reshapes and picks dimensions."""

from dataclasses import replace

import torch

from espalier.pruning.c.values import Stacked, Value


class Shapes:
    """Part of a `Trace`."""

    def moved(self, name, output, values, *arguments, **named):
        value = self.value(values)
        return replace(value, dims=tuple(value.dims[k] for k in _order(name, values.dim(), arguments, named)))

    def shaped(self, name, output, values, *_, **__):
        """Another shape: as the batch is one, all that may change is where dimensions of size one stand."""
        value = self.value(values)
        if isinstance(value, Stacked):
            return self._merged(value, output)
        old = [(role, size) for role, size in zip(value.dims, values.shape) if size != 1]
        new = [size for size in output.shape if size != 1]
        if [size for _, size in old] == new:
            roles = iter([role for role, _ in old])
            dims = [next(roles) if size != 1 else "one" for size in output.shape]
            for wanted in ("channel", "time"):
                if wanted in value.dims and wanted not in dims:  # which is of size one
                    ones = [k for k, role in enumerate(dims) if role == "one"]
                    if not ones:
                        self.refuse(f"a {name} that loses a dimension")
                    dims[ones[-1 if wanted == "channel" else 0]] = wanted
            return replace(value, dims=tuple(dims))
        if "part" in value.dims and len(output.shape) > 0 and output.shape[-1] == value.node.width:
            before = ["time" if size == self.steps else "one" for size in output.shape[:-1]]
            return replace(value, dims=(*before, "channel"))
        width, roles = self.steps * value.node.width, [role for role in value.dims if role != "one"]
        if roles == ["time", "channel"] and output.shape[-1] == output.numel() == width:
            return Value(self.node("all_steps", [value.node], width), ("one",) * (output.dim() - 1) + ("channel",), -1)
        if "channel" in value.dims and output.dim() == values.dim() + 1:
            place = value.dims.index("channel")
            if output.shape[:place] == values.shape[:place] and output.shape[place + 2 :] == values.shape[place + 1 :]:
                return replace(value, dims=(*value.dims[:place], "group", *value.dims[place:]))
        self.refuse(f"a {name} that mixes steps or channels")

    def _merged(self, value, output):
        order = [role for role in value.dims if role in ("layer", "channel")]
        width = sum(one.node.width for one in value.values)
        if order != ["layer", "channel"] or output.shape[-1] != width or output.numel() != width:
            self.refuse("states in another shape")
        values = self.together(list(value.values))
        node = self.node("concat", [one.node for one in values], width)
        return Value(node, ("one",) * (output.dim() - 1) + ("channel",), values[0].at)

    def picked(self, name, output, values, *arguments, **named):
        """Some steps, channels or layers: which, is seen by doing the same to the numbers of all places."""
        value = self.value(values)
        if value is None:
            self.refuse(f"{name} by values")
        places = torch.arange(values.numel()).view(values.shape)
        with torch._C.DisableTorchFunction():
            found = list(places) if name == "__iter__" else getattr(places, name)(*arguments, **named)
        if isinstance(output, torch.Tensor):
            return self._part(value, places, found)
        return [self._part(value, places, one) for one in found]

    def _part(self, value, places, found):
        """What a part of a tensor is: `places` numbers all its entries, `found` those of the part."""
        if not found.numel():
            self.refuse("no values at all")
        coordinates = torch.unravel_index(found, places.shape)
        dims, used = [], {}
        for dim in range(found.dim()):
            line = [axis.select(dim, 0) for axis in coordinates] if found.shape[dim] else coordinates
            moving = [k for k, axis in enumerate(coordinates) if bool((axis != line[k].unsqueeze(dim)).any())]
            if len(moving) > 1:
                self.refuse("values picked along two dimensions at once")
            dims.append(value.dims[moving[0]] if moving else "one")
            used.update({k: dim for k in moving})
        picked = {}
        for k, axis in enumerate(coordinates):
            picked[k] = axis.movedim(used[k], 0).reshape(axis.shape[used[k]], -1)[:, 0] if k in used else axis.flatten()[:1]
        return self._chosen(value, dims, picked)

    def _chosen(self, value, dims, picked):
        roles = dict(enumerate(value.dims))
        if isinstance(value, Stacked):
            place = value.dims.index("layer")
            chosen = [value.values[k] for k in picked[place].tolist()]
            if len(chosen) > 1:
                return Stacked(tuple(chosen), tuple(dims))
            one = chosen[0]
            value, dims = replace(one, dims=value.dims), ["one" if role == "layer" else role for role in dims]
            roles = {k: ("one" if role == "layer" else role) for k, role in roles.items()}
        at, node = value.at, value.node
        for k, role in roles.items():
            places = picked[k].tolist()
            if role == "time" and len(places) == 1:
                at = places[0]
            elif role == "time" and places != list(range(self.steps)):
                self.refuse("some of the steps, but neither one nor all")
            elif role == "channel" and places != list(range(node.width)):
                if places != list(range(places[0], places[-1] + 1)):
                    self.refuse("channels in another order")
                node = self.node("slice", [node], len(places), first=places[0])
            elif role == "part" and len(places) != 1:
                self.refuse("parts of an example")
        if "channel" in value.dims and "channel" not in dims:  # a single one
            if "one" not in dims:
                self.refuse("a single channel without a dimension")
            dims[len(dims) - 1 - dims[::-1].index("one")] = "channel"
        return Value(node, tuple(dims), at)


def _order(name, count, arguments, named):
    """Which of so many dimensions stands where after they were moved."""
    shape = list(range(2, 2 + count))
    marked = torch.empty(shape)
    with torch._C.DisableTorchFunction():
        found = getattr(marked, name) if name in ("T", "mT") else getattr(marked, name)(*arguments, **named)
    return [shape.index(size) for size in found.shape]
