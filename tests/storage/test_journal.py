"""The machine's log of stages that ran."""

import pytest

from podium import paths
from podium.storage import journal


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))


def test_the_last_run_of_each_stage_is_told():
    """Of this competition, in the order of the runs, with what it reused."""
    journal.write("elpv", "extract@a", 90.0, {"rows computed": 5248, "rows reused": 0})
    journal.write("cifar", "extract@a", 900.0, None)
    journal.write("elpv", "fit@m", 1.26, None)
    journal.write("elpv", "extract@a", 0.5, {"rows computed": 0, "rows reused": 5248})
    assert journal.read("elpv").to_dict("records") == [
        {"stage": "fit@m", "seconds": 1.3, "facts": ""},
        {"stage": "extract@a", "seconds": 0.5, "facts": "rows computed 0, rows reused 5,248"},
    ]


def test_a_machine_without_a_log_has_nothing_to_tell():
    """The report is built all the same."""
    assert journal.read("elpv").empty


def test_a_half_written_line_is_passed_over():
    """A killed run leaves no trap."""
    journal.write("elpv", "fold", 1.0, None)
    with paths.journal().open("a") as file:
        file.write('{"competition": "el\n[]\n{}\n')
    journal.write("elpv", "augment", 2.0, None)
    assert journal.read("elpv")["stage"].tolist() == ["fold", "augment"]


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path):
    """A log is a comfort."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    journal.write("elpv", "fold", 1.0, None)
    assert journal.read("elpv").empty
