"""Masks on anybody's module: layouts, copies, files, loops, precision, processes."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import espalier
from espalier.errors import InputError

LAYOUTS = [
    dict(num_layers=3), dict(bidirectional=True, num_layers=2), dict(bias=False), dict(batch_first=True), dict(proj_size=3),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(layout))
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("target", ["i2h", "h2h", "both"])
def test_every_layout(kind, layout, target):
    if "proj_size" in layout and kind is not nn.LSTM:
        return
    torch.manual_seed(0)
    model = nn.Sequential(kind(5, 7, **layout))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    masks = espalier.prune(model, target=target, percent=60)
    kinds = {"i2h": ["weight_ih"], "h2h": ["weight_hh"], "both": ["weight_ih", "weight_hh"]}[target]
    assert set(masks) == {name for name in before if any(part in name for part in kinds)}
    assert masks.total - masks.kept == round(0.6 * masks.total)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name] * masks[name] if name in set(masks) else before[name])
    assert model[0](torch.randn(4, 2, 5))[0].isfinite().all()


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_cells(kind):
    model = nn.ModuleDict({"cell": kind(5, 6)})
    masks = espalier.prune(model, target="h2h", percent=50, scope="gate")
    assert list(masks) == ["cell.weight_hh"]
    for gate in masks["cell.weight_hh"].split(6):
        assert int(gate.sum()) == 18


def test_a_linear_layer_is_pruned_where_it_is_named():
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.GRU(4, 5), "head": nn.Linear(5, 3), "other": nn.Linear(5, 3)})
    other = model["other"].weight.clone()
    masks = espalier.prune(model, percent=50, modules=["rnn", "head"], scope="tensor")
    assert set(masks) == {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "head.weight"} and torch.equal(model["other"].weight, other)
    assert int((model["head"].weight == 0).sum()) == round(15 / 2)
    only = espalier.prune(model, target="h2h", percent=20, modules=["head"], score="random")
    assert list(only) == ["head.weight"]
    assert list(espalier.prune(nn.Linear(3, 2), percent=50, modules=[""])) == ["weight"]
    with pytest.raises(InputError, match=r"nn\.Linear is pruned when modules names it"):
        espalier.prune(nn.Linear(3, 2))
    assert list(espalier.prune(model, target="h2h", percent=10)) == ["rnn.weight_hh_l0"]


def test_blocks_by_hand():
    model = nn.RNN(5, 2, bias=False)
    with torch.no_grad():
        model.weight_ih_l0.copy_(torch.tensor([[1.0, 1, 9, 9, 5], [1, 1, 9, 9, 6]]))
    masks = espalier.prune(model, target="i2h", structure="block", block=(2, 2), percent=34)  # one of three tiles
    assert masks["weight_ih_l0"].tolist() == [[False, False, True, True, True]] * 2
    masks = espalier.prune(model, target="i2h", structure="block", block=(2, 2), percent=67)  # means 0, 9, and 5.5 at the edge
    assert masks["weight_ih_l0"].tolist() == [[False, False, True, True, False]] * 2


def test_shared_modules_and_weights_are_counted_once():
    rnn = nn.GRU(4, 4)
    model = nn.ModuleDict({"a": rnn, "b": rnn})
    assert set(espalier.prune(model, percent=50)) == {"a.weight_ih_l0", "a.weight_hh_l0"}
    tied = nn.ModuleDict({"a": nn.GRU(4, 4), "b": nn.GRU(4, 4)})
    tied["b"].weight_hh_l0 = tied["a"].weight_hh_l0
    masks = espalier.prune(tied, target="h2h", percent=50)
    assert list(masks) == ["a.weight_hh_l0"] and torch.equal(tied["a"].weight_hh_l0, tied["b"].weight_hh_l0)


def test_frozen_parameters_are_pruned_like_all_others():
    model = nn.GRU(4, 6)
    model.weight_hh_l0.requires_grad_(False)
    masks = espalier.prune(model, target="h2h", percent=50)
    assert int((model.weight_hh_l0 == 0).sum()) == 54 and not model.weight_hh_l0.requires_grad
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with masks.attached(model, optimizer):
        model(torch.randn(3, 2, 4))[0].sum().backward()
        optimizer.step()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Masked(nn.Module):
    """The reference: the same network, its weights times the masks inside forward."""

    def __init__(self, net, masks):
        super().__init__()
        self.net, self.masks = net, masks

    def forward(self, x):
        weights = {name: p * self.masks[name] if name in set(self.masks) else p for name, p in self.net.named_parameters()}
        return torch.func.functional_call(self.net, weights, (x,))


def batches():
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(3, 5, 4, generator=generator), torch.randint(0, 2, (3,), generator=generator)) for _ in range(6)]


def train(model, optimizer, every=1, autocast=False):
    dtype = next(model.parameters()).dtype
    for k, (x, y) in enumerate(batches()):
        x = x.to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = nn.functional.cross_entropy(model(x), y) / every
        loss.backward()
        if (k + 1) % every == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("structure", ["weight", "unit"])
@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_an_attached_loop_trains_w_times_mask(kind, structure, every):
    torch.manual_seed(0)
    net = Net().double()
    twin = copy.deepcopy(net)
    masks = espalier.prune(net, percent=50, structure=structure, readers={"rnn": ["head"]})
    make = {"Adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1), "SGD": lambda p: torch.optim.SGD(p, 0.5, 0.9)}[
        kind
    ]
    optimizer = make(net.parameters())
    with masks.attached(net, optimizer):
        train(net, optimizer, every)
    train(Masked(twin, masks), make(twin.parameters()), every)
    for name, parameter in twin.named_parameters():
        expected = parameter * masks[name] if name in set(masks) else parameter
        torch.testing.assert_close(dict(net.named_parameters())[name], expected, rtol=0, atol=1e-12)
    if structure == "weight":  # outside the block nothing is held any more; a unit that is silenced has no gradient either
        train(net, torch.optim.SGD(net.parameters(), lr=0.5))
        assert net.rnn.weight_hh_l0[~masks["rnn.weight_hh_l0"]].any()


def bfloat16_kernels():
    """Whether this processor trains an LSTM under autocast to bfloat16 at all (without AVX-512 it may not)."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(4, 6)(torch.randn(2, 3, 4))[0].sum().backward()
        return True
    except RuntimeError:
        return False


def test_mixed_precision_keeps_the_masks():
    if not bfloat16_kernels():
        pytest.skip("no bfloat16 kernels of LSTM for this processor")
    torch.manual_seed(0)
    net = Net()
    masks = espalier.prune(net, percent=70)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with masks.attached(net, optimizer):
        train(net, optimizer, autocast=True)
    assert all(not dict(net.named_parameters())[name][~mask].any() for name, mask in masks.items())


def test_masks_take_the_dtype_of_the_model():
    net = Net()
    masks = espalier.prune(net, percent=70)
    half = Net().to(torch.bfloat16)
    masks.weights(half)
    assert half.rnn.weight_hh_l0.dtype == torch.bfloat16 and not half.rnn.weight_hh_l0[~masks["rnn.weight_hh_l0"]].any()


def test_copies_files_and_pickles():
    torch.manual_seed(0)
    net = Net()
    masks = espalier.prune(net, percent=50)
    optimizer = torch.optim.Adam(net.parameters())
    x = torch.randn(2, 5, 4)
    with masks.attached(net, optimizer):
        train(net, optimizer)
        others = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
        file = io.BytesIO()
        torch.save({"model": net.state_dict(), "masks": masks.state_dict()}, file)
    file.seek(0)
    content = torch.load(file, weights_only=True)
    fresh = Net()
    assert set(fresh.state_dict()) == set(content["model"])
    fresh.load_state_dict(content["model"])
    for other in (*others, fresh):
        assert torch.equal(other(x), net(x))
    assert espalier.Masks(content["masks"]) == masks == pickle.loads(pickle.dumps(masks)) == copy.deepcopy(masks)


def worker(rank, folder):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = Net()
    masks = espalier.prune(net, percent=50)
    parallel = nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    with masks.attached(net, optimizer):
        for k, (x, y) in enumerate(batches()):
            if k % 2 == rank:
                nn.functional.cross_entropy(parallel(x), y).backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
    torch.save({"model": net.state_dict(), "masks": masks.state_dict()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_agree_and_keep_the_masks(tmp_path):
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in one["model"].items():
        assert torch.equal(value, two["model"][name])
        if name in one["masks"]:
            assert not value[~one["masks"][name]].any()
    # The same on one process, the two batches of a step as one.
    torch.manual_seed(0)
    net = Net()
    masks = espalier.prune(net, percent=50)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    pairs = batches()
    with masks.attached(net, optimizer):
        for (x, y), (z, w) in zip(pairs[::2], pairs[1::2]):
            nn.functional.cross_entropy(net(torch.cat([x, z])), torch.cat([y, w])).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.detach(), one["model"][name], rtol=0, atol=1e-5)
