"""What would do nothing, or something else, without a word: said in one line, with the remedy."""

import warnings

import pytest
import torch
from networks import LastNet
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import espalier
from espalier.errors import InputError

READERS = {"rnn": ["head"]}
NAME = "weight_hh_l0"


class WeightDrop(nn.Module):
    """As it is written in public word language models: the weight is computed from a `_raw` one before every pass."""

    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn
        raw = rnn._parameters.pop(NAME)
        self.register_parameter(f"{NAME}_raw", nn.Parameter(raw.data))
        setattr(rnn, NAME, raw.data)


def old(function):
    def apply(rnn):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is old
            return function(rnn, NAME)

    return apply


#: How -> (function that re-parametrises, what the message names as the remedy)
WAYS = {
    "weight_norm": (lambda rnn: parametrizations.weight_norm(rnn, NAME), "parametrize.remove_parametrizations(model.rnn,"),
    "spectral_norm": (lambda rnn: parametrizations.spectral_norm(rnn, NAME), "parametrize.remove_parametrizations(model.rnn,"),
    "orthogonal": (lambda rnn: parametrizations.orthogonal(rnn, NAME), "parametrize.remove_parametrizations(model.rnn,"),
    "old weight_norm": (old(nn.utils.weight_norm), "remove_weight_norm(model.rnn,"),
    "old spectral_norm": (old(nn.utils.spectral_norm), "remove_spectral_norm(model.rnn,"),
    "prune": (lambda rnn: torch_prune.l1_unstructured(rnn, NAME, 0.5), "torch.nn.utils.prune.remove(model.rnn,"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "act",
    [
        lambda net: espalier.prune(net, percent=90),
        lambda net: espalier.prune(net, percent=50, modules=["rnn", "head"]),
        lambda net: espalier.prune(net, percent=50, structure="unit", readers=READERS),
        lambda net: espalier.shrink(net, READERS, say=None),
        lambda net: espalier.shrink(net, say=None),
    ],
    ids=["prune", "modules", "units", "shrink", "unread"],
)
def test_re_parametrised_weights_are_refused(way, act):
    net = LastNet()
    apply, remedy = WAYS[way]
    apply(net.rnn)
    with pytest.raises(InputError) as error:
        act(net)
    told = str(error.value)
    assert told.startswith(f"rnn.{NAME} cannot be pruned as it is: ") and way.removeprefix("old ") in told and remedy in told
    assert espalier.prune(net, target="i2h", percent=50).total == 96  # the others are what they were


def test_the_remedy_of_the_message_works():
    net = LastNet()
    parametrizations.weight_norm(net.rnn, NAME)
    with pytest.raises(InputError) as error:
        espalier.prune(net, percent=90)
    exec(str(error.value).split("first: ")[1], {"torch": torch, "model": net})
    assert espalier.prune(net, percent=90).total == 96 + 144


def test_dropped_weights_biases_and_readers_too():
    wrapped = LastNet(WeightDrop(nn.LSTM(4, 6)))
    with pytest.raises(InputError, match=r"rnn\.rnn\.weight_hh_l0 cannot .*WeightDrop \(from rnn\.weight_hh_l0_raw\)"):
        espalier.prune(wrapped, percent=50)
    net = LastNet()
    torch_prune.l1_unstructured(net.rnn, "bias_hh_l0", 0.5)
    assert espalier.prune(net, percent=50).total == 240  # weights are pruned as ever; of a unit the bias goes too
    with pytest.raises(InputError, match=r"rnn\.bias_hh_l0 cannot"):
        espalier.prune(net, percent=50, structure="unit", readers=READERS)
    net = LastNet()
    parametrizations.weight_norm(net.head)
    for act in (
        lambda: espalier.prune(net, percent=50, modules=["head"]),
        lambda: espalier.prune(net, percent=50, structure="unit", readers=READERS),
        lambda: espalier.shrink(net, READERS, say=None),
    ):
        with pytest.raises(InputError, match=r"head\.weight cannot .*remove_parametrizations\(model\.head"):
            act()


def test_masks_say_that_their_weight_was_re_parametrised_since():
    net = LastNet()
    masks = espalier.prune(net, percent=50)
    parametrizations.weight_norm(net.rnn, NAME)
    with pytest.raises(InputError, match=r"rnn\.weight_hh_l0 cannot .*weight_norm"):
        masks.weights(net)


def moved(masks, net):
    """How many masked weights of the model are not zero."""
    return sum(
        int(parameter[~masks[name]].count_nonzero()) for name, parameter in net.named_parameters() if name in masks._masks
    )


def train(net, optimizer):
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(3, 5, 4).to(net.head.weight.dtype)).square().sum().backward()
        optimizer.step()


def assigned(net):
    net.load_state_dict({name: value.clone() for name, value in LastNet().state_dict().items()}, assign=True)


def replaced(net):
    net.rnn = nn.LSTM(4, 6, batch_first=True)


def converted(net):
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        net.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.mark.parametrize("change", [assigned, replaced, converted])
def test_masks_follow_the_parameters_of_the_model(change):
    torch.manual_seed(0)
    net = LastNet()
    masks = espalier.prune(net, percent=50)
    masks.gradients(net)
    change(net)
    masks.weights(net)
    assert moved(masks, net) == 0
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    with masks.attached(net, optimizer):
        train(net, optimizer)
    assert moved(masks, net) == 0
    train(net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert moved(masks, net) > 100  # outside the block they do move
    net.zero_grad()
    net(torch.randn(3, 5, 4).to(net.head.weight.dtype)).sum().backward()
    masks.gradients(net)
    assert not net.rnn.weight_hh_l0.grad[~masks["rnn.weight_hh_l0"]].any()


def test_a_parameter_put_in_within_the_block_is_masked_from_the_next_step_on():
    torch.manual_seed(0)
    net = LastNet()
    masks = espalier.prune(net, percent=50)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with masks.attached(net, optimizer):
        replaced(net)
        optimizer.add_param_group({"params": list(net.rnn.parameters())})
        train(net, optimizer)
    assert moved(masks, net) == 0


@pytest.mark.parametrize("kind", ["LBFGS", "Adafactor", "Muon"])
def test_attached_refuses_optimizers_that_mix_weights(kind):
    net = LastNet()
    masks = espalier.prune(net, percent=50)
    optimizer = getattr(torch.optim, kind)([p for p in net.parameters() if p.dim() == 2], lr=0.1)
    with pytest.raises(InputError, match=f"{kind} mixes the weights"), masks.attached(net, optimizer):
        pass


def test_averages_of_weights_are_masked_too():
    torch.manual_seed(0)
    net = LastNet()
    averaged = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(net)  # of the weights before they were pruned
    optimizer = torch.optim.ASGD(net.parameters(), lr=0.1, t0=0)
    train(net, optimizer)
    masks = espalier.prune(net, percent=50)
    with masks.attached(net, optimizer, averages=[averaged]):
        for _ in range(2):
            train(net, optimizer)
            averaged.update_parameters(net)
    assert moved(masks, net) == 0
    for name, mask in masks.items():
        kept = optimizer.state[dict(net.named_parameters())[name]]["ax"]
        assert not kept[~mask].any() and kept[mask].all()
        assert not dict(averaged.module.named_parameters())[name][~mask].any()


@pytest.mark.parametrize(
    "modules, told",
    [
        (["rnn", "hed"], "'hed' matches no weight; there are rnn.weight_ih_l0, rnn.weight_hh_l0, head"),
        (["decodr"], "'decodr' matches no weight"),
        ("rn", "'rn' matches no weight"),
    ],
)
def test_every_name_of_a_module_must_match(modules, told):
    with pytest.raises(InputError, match=told):
        espalier.prune(LastNet(), percent=50, modules=modules)
    with pytest.raises(InputError, match="matches no recurrent module; there are rnn"):
        espalier.prune(LastNet(), percent=50, structure="unit", modules=modules, readers=READERS)


def quantised(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(net)


@pytest.mark.parametrize(
    "change, told",
    [
        (torch.jit.script, "was scripted or traced: prune and shrink the module it was made from"),
        (torch.compile, "was compiled: prune and shrink the module it was made from"),
        (quantised, "was quantised: prune and shrink the float module"),
        (lambda net: "model.pt", "a model is a torch.nn.Module, got str"),
    ],
    ids=["scripted", "compiled", "quantised", "text"],
)
@pytest.mark.filterwarnings("ignore:.*deprecated:")
def test_what_is_no_ordinary_model_any_more_is_told(change, told):
    model = change(LastNet())
    for act in (
        lambda: espalier.prune(model, percent=50),
        lambda: espalier.prune(model, percent=50, structure="unit", readers=READERS),
        lambda: espalier.shrink(model, READERS, say=None),
    ):
        with pytest.raises(InputError, match=told):
            act()
