"""Which layers are trained when; no network is built for it."""

import pytest

from podium.errors import PodiumError
from podium.training import Finetune
from podium.training.encoder import find
from podium.training.phases import phases


def planned(**settings):
    encoder = find(Finetune(**{"network": "efficientnet_lite0"} | settings), "params.yaml: finetunes.a")
    return [(phase.name, list(phase.epochs), phase.depth) for phase in phases(encoder)]


def test_a_pretrained_network_warms_its_head_up_first():
    """One epoch of ten, by default; then all layers."""
    assert planned() == [("head", [0], 9), ("stem", list(range(1, 10)), 0)]


def test_layers_are_unfrozen_by_depth_in_equal_shares():
    """Each name of `unfreeze` opens a phase; the last takes what is left over."""
    assert planned(epochs=6, head_epochs=1, unfreeze=["block7", "block5"]) == [
        ("head", [0], 9),
        ("block7", [1, 2], 7),
        ("block5", [3, 4, 5], 5),
    ]


def test_depths_end_at_the_last_layer_that_is_pooled():
    """What lies beyond it is not part of the network."""
    assert planned(epochs=2, layers=["block3", "block5"], unfreeze="block4")[1:] == [("block4", [1], 4)]


def test_a_network_from_scratch_has_one_phase():
    """There is nothing to warm up to."""
    assert planned(network="lenet", epochs=3) == [("all", [0, 1, 2], 0)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"network": "resnet"}, "network: unknown network 'resnet'; choose one of: efficientnet_lite0, "),
        ({"network": "hog"}, "network: unknown network 'hog'"),
        ({"unfreeze": "block9"}, "unfreeze: no layer 'block9'; choose from: stem, block1, "),
        ({"layers": ["block3"], "unfreeze": "block4"}, "unfreeze: no layer 'block4'"),
        ({"network": "lenet", "unfreeze": "all"}, "unfreeze: leave it out: lenet is trained from scratch"),
        ({"network": "lenet", "pooling": "max"}, "pooling: leave it out"),
        ({"network": "lenet", "options": {"depth": 3}}, "options.depth: unknown key; choose one of: "),
        ({"options": {"width": 3}}, "options: only a preset has options"),
        ({"pooling": "logits"}, "pooling: it must pool a map"),
        ({"network": "lenet", "resize": {"px": 2}}, "resize.px: this network needs at least"),
        ({"resize": {"px": 16}}, "resize.px: this network needs at least 32, not 16"),
    ],
)
def test_a_choice_that_a_network_has_no_answer_to_is_named(settings, told):
    """One line: the place, and what would be right."""
    with pytest.raises(PodiumError, match=r"^params\.yaml: finetunes\.a\.") as caught:
        planned(**settings)
    assert told in str(caught.value)


def test_too_few_epochs_for_the_phases():
    """A phase without an epoch would never be trained."""
    with pytest.raises(ValueError, match="`epochs`: 2 are too few"):
        Finetune(network="efficientnet_lite0", epochs=2, head_epochs=1, unfreeze=["block7", "block5"])
