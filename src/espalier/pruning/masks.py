"""The memory of what was pruned: one bool tensor per weight, True = kept."""

import contextlib

import torch

from espalier.errors import InputError


class Masks:
    """Masks by parameter name, for any module whose parameters carry these names.

    Nothing is wrapped: a masked weight of the module is zero, and whoever trains on calls `gradients` before the gradients
    are clipped and `weights` after the optimizer's step, which makes the training that of `w * mask` exactly, for every
    optimizer that treats each weight on its own (`attached` does it in any loop, `espalier.Pruning` under Lightning).
    """

    def __init__(self, masks):
        self._masks = {name: mask.bool() for name, mask in masks.items()}
        self._bound = None

    def __getitem__(self, name):
        return self._masks[name]

    def __iter__(self):
        return iter(self._masks)

    def __len__(self):
        return len(self._masks)

    def __eq__(self, other):
        return (
            isinstance(other, Masks)
            and list(self) == list(other)
            and all(torch.equal(self[name], other[name]) for name in self)
        )

    def __repr__(self):
        return f"Masks({self.kept} of {self.total} weights kept in {len(self)} tensors)"

    def items(self):
        return self._masks.items()

    @property
    def kept(self):
        """Number of weights kept."""
        return sum(int(mask.sum()) for mask in self._masks.values())

    @property
    def total(self):
        """Number of weights that the masks speak of."""
        return sum(mask.numel() for mask in self._masks.values())

    @property
    def percent(self):
        """Share of the weights removed, 0 to 100."""
        return 100 * (1 - self.kept / self.total)

    def within(self, name):
        """The same masks for a module that holds this one as its attribute `name`."""
        return Masks({f"{name}.{key}": mask for key, mask in self.items()})

    def state_dict(self):
        """Name -> bool tensor, on the CPU: loads again with `weights_only=True` and `Masks(...)`."""
        return {name: mask.cpu() for name, mask in self._masks.items()}

    def _on(self, model):
        """The masked parameters of `model` and their masks in its dtype and on its device."""
        if self._bound is None or self._bound[0] is not model:
            parameters = dict(model.named_parameters())
            missing = [name for name in self if name not in parameters]
            if missing:
                raise InputError(f"the model has no {', '.join(missing)}; it has {', '.join(parameters)}")
            chosen = [parameters[name] for name in self]
            for name, parameter in zip(self, chosen):
                if parameter.shape != self[name].shape:
                    raise InputError(f"{name} is {tuple(parameter.shape)}, its mask {tuple(self[name].shape)}")
            self._bound = (model, chosen, [None] * len(chosen))
        _, parameters, factors = self._bound
        for k, (name, parameter) in enumerate(zip(self, parameters)):
            if factors[k] is None or factors[k].device != parameter.device or factors[k].dtype != parameter.dtype:
                factors[k] = self[name].to(parameter.device, parameter.dtype)
        return parameters, factors

    @contextlib.contextmanager
    def attached(self, model, optimizer):
        """Within the block, any loop that steps `optimizer` trains `w * mask`: gradients are masked as they are computed, so
        before any clipping, and the weights after every step. It works under accumulation, mixed precision and DDP.

        model: the module itself, also where DDP wraps it.
        """
        self.weights(model)
        parameters, _ = self._on(model)

        def masked(place):
            return lambda gradient: gradient * self._on(model)[1][place].to(gradient.dtype)

        handles = [p.register_hook(masked(k)) for k, p in enumerate(parameters) if p.requires_grad]
        handles.append(optimizer.register_step_post_hook(lambda *_: self.weights(model)))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def __getstate__(self):
        return {"_masks": self._masks, "_bound": None}

    @torch.no_grad()
    def weights(self, model):
        """Set the masked weights of `model` to zero, in place."""
        parameters, factors = self._on(model)
        torch._foreach_mul_(parameters, factors)

    @torch.no_grad()
    def gradients(self, model):
        """Set the gradients of the masked weights of `model` to zero, in place; parameters without one are passed over."""
        pairs = [(p.grad, factor) for p, factor in zip(*self._on(model)) if p.grad is not None]
        if pairs:
            torch._foreach_mul_(*map(list, zip(*pairs)))
