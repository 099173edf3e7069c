from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from export.networks import cifar_resnet, mobilenet, vgg
from export.networks.cost import macs
from export.networks.early_exit import EarlyExitNetwork, InternalHead
from export.networks.resnet import GatedResNet

pytestmark = pytest.mark.torch

VGG = vgg.vgg16, vgg.PUBLISHED_EXITS
RESNET = cifar_resnet.resnet56, cifar_resnet.PUBLISHED_EXITS
MOBILENET = mobilenet.mobilenet, mobilenet.PUBLISHED_EXITS

# Cumulative MACs behind each exit's block, the same for every number of classes.
BEHIND_EXITS = {
    VGG: (39_518_208, 96_141_312, 152_764_416, 190_513_152, 247_136_256, 284_884_992),
    RESNET: (19_316_736, 38_191_104, 56_016_896, 74_891_264, 92_717_056, 111_591_424),
    MOBILENET: (10_010_624, 16_523_264, 22_925_312, 31_461_376, 42_113_024),
}
HEAD_FEATURES = {
    VGG: (1024, 2048, 4096, 4096, 8192, 2048),
    RESNET: (256, 256, 512, 512, 1024, 1024),
    MOBILENET: (2048, 4096, 8192, 8192, 4096),
}
# MACs of the backbone and with all heads, parameters of the backbone and of the heads.
TOTALS = {
    (VGG, 10): (313_725_952, 313_940_992, 15_253_578, 215_105),
    (VGG, 100): (313_772_032, 315_922_432, 15_299_748, 2_151_005),
    (RESNET, 10): (125_747_840, 125_783_680, 855_770, 35_906),
    (RESNET, 100): (125_753_600, 126_112_000, 861_620, 359_006),
    (MOBILENET, 10): (46_354_432, 46_620_672, 3_217_226, 266_294),
    (MOBILENET, 100): (46_446_592, 49_108_992, 3_309_476, 2_662_904),
}


def shallow_deep(architecture, classes, size=32):
    build, exits = architecture
    return EarlyExitNetwork(build(classes, size), exits)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def behind_blocks(network):
    """MACs up to and with every block, and of the whole backbone."""
    backbone = copy.deepcopy(network.backbone).eval()
    total, x = macs(backbone.stem, torch.zeros(1, 3, network.size, network.size))
    found = []
    for block in backbone.blocks:
        cost, x = macs(block, x)
        total += cost
        found.append(total)
    return found, total + macs(backbone.head, x)[0]


@pytest.mark.parametrize(("architecture", "classes"), TOTALS, ids=lambda part: getattr(part, "__name__", None))
def test_costs_are_those_of_the_literature_to_the_last_digit(architecture, classes):
    network = shallow_deep(architecture, classes)
    cumulative, backbone = behind_blocks(network)
    assert tuple(cumulative[index] for index in network.exits) == BEHIND_EXITS[architecture]
    assert tuple(head.linear.in_features for head in network.heads) == HEAD_FEATURES[architecture]
    with_heads = backbone + sum(HEAD_FEATURES[architecture]) * classes
    found = backbone, with_heads, parameters(network.backbone), parameters(network.heads)
    assert found == TOTALS[architecture, classes]


@pytest.mark.parametrize(
    ("architecture", "mega_macs", "mega_parameters", "of_heads"),
    [(VGG, 1259.28, 21.22, 5.53), (RESNET, 125.76, 0.868, 0.72), (MOBILENET, 185.58, 3.41, 7.78)],
)
def test_costs_at_64_px(architecture, mega_macs, mega_parameters, of_heads):
    network = shallow_deep(architecture, 200, 64)
    assert behind_blocks(network)[1] / 1e6 == pytest.approx(mega_macs, abs=0.006)
    assert parameters(network.backbone) / 1e6 == pytest.approx(mega_parameters, abs=0.006)
    assert parameters(network.heads) / 1e6 == pytest.approx(of_heads, abs=0.006)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("architecture", BEHIND_EXITS)
def test_every_network_takes_smaller_images_too(architecture, size):
    build, exits = architecture
    network = EarlyExitNetwork(build(10, size, 0.125), exits).eval()
    for side in (size, size * 3 // 4):
        scores = network(torch.rand(2, 3, side, side))
        assert [tuple(each.shape) for each in scores] == [(2, 10)] * (len(exits) + 1)


def test_each_exit_sees_what_stands_behind_its_block(lived_in):
    network = lived_in(EarlyExitNetwork(cifar_resnet.resnet56(5, width=0.25), (0, 8, 25)), seed=1)
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        scores = network(images)
        for exit_index, block in enumerate((0, 8, 25)):
            cut = nn.Sequential(network.backbone.stem, *network.backbone.blocks[: block + 1], network.heads[exit_index])
            torch.testing.assert_close(scores[exit_index], cut(images))
        torch.testing.assert_close(scores[-1], network.backbone(images))


def test_gates_and_exits_act_on_the_same_pass(lived_in):
    backbone = lived_in(GatedResNet((8, 16), (2, 2), 5), seed=2)
    network = lived_in(EarlyExitNetwork(backbone, (1,)), seed=3)
    images = torch.rand(4, 3, 32, 32)
    gates = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]]).bool()
    with torch.no_grad():
        internal, last = network(images, gates)
        torch.testing.assert_close(last, backbone.forward_sparse(images, gates))
        torch.testing.assert_close(internal[2:3], network(images[2:3])[0])
    assert network.gates == 4
    assert EarlyExitNetwork(vgg.vgg16(10, width=0.125)).gates == 0


def test_mixed_pooling_is_the_learned_mean_of_both():
    """Over windows of 2 x 2, worked out one by one."""
    head = InternalHead(1, 8, 2)
    with torch.no_grad():
        head.mix.fill_(0.25)
    x = torch.randn(1, 1, 8, 8)
    windows = x.view(4, 2, 4, 2).transpose(1, 2).reshape(16, 4)
    expected = 0.25 * windows.amax(1) + 0.75 * windows.mean(1)
    torch.testing.assert_close(head(x), head.linear(expected.unsqueeze(0)))


def test_a_map_of_less_than_four_by_four_is_not_pooled():
    head = InternalHead(3, 2, 2)
    assert head.mix is None
    x = torch.randn(5, 3, 2, 2)
    torch.testing.assert_close(head(x), head.linear(x.flatten(1)))


@pytest.mark.parametrize("exits", [(3, 1), (1, 1), (-1,), (13,), (99,)])
def test_exits_that_cannot_be_had_are_refused_with_what_can(exits):
    with pytest.raises(ValueError, match="cannot be had: name blocks from 0 to 12, rising, for example 1,3,5"):
        EarlyExitNetwork(vgg.vgg16(10, width=0.125), exits)


def test_resnet56_shares_its_parameters_names_with_the_gated_network():
    plain = cifar_resnet.resnet56(10).state_dict()
    gated = GatedResNet((16, 32, 64), (9, 9, 9), 10).state_dict()
    assert {name: tensor.shape for name, tensor in plain.items()} == {name: t.shape for name, t in gated.items()}
