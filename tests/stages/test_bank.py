"""bank names the members of params.yaml, and fails clearly where one is missing."""

import json
import shutil

import pytest

from podium import paths
from podium.errors import PodiumError
from podium.stages import bank


def test_it_names_members_and_never_lists_the_folder(banked, tmp_path):
    """A file of a member that params.yaml no longer names is left out."""
    (tmp_path / "predictions/toy/removed").mkdir()
    bank.run(banked.config)
    assert list(json.loads(paths.data("toy", "bank.json").read_text())) == ["good", "poor"]


def test_a_missing_member_stops_it(banked):
    """The line names the file."""
    shutil.rmtree(paths.predictions("toy", "poor"))
    with pytest.raises(PodiumError, match=r"predictions/toy/poor: params\.yaml names 'poor'"):
        bank.run(banked.config)
