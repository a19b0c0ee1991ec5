"""Forward selection by a loss that is known for every set."""

from podium.fitting.selection import Step, forward


def test_takes_what_helps_most_until_nothing_does():
    """The second best alone is left out: with the best it is of no use; the worst alone makes a pair."""
    loss = {"a": 0.5, "b": 0.6, "c": 0.9, "ab": 0.5, "ac": 0.4, "bc": 0.1, "abc": 0.45}
    assert forward("abc", lambda names: loss["".join(names)]) == [Step("a", 0.5), Step("c", 0.4)]


def test_takes_all_where_all_help():
    """Names come in the order of the choices, whatever was chosen first."""
    asked = []

    def loss(names):
        asked.append("".join(names))
        return -len(names) - ("c" in names)

    assert [step.added for step in forward("abc", loss)] == ["c", "a", "b"]
    assert asked == ["a", "b", "c", "ac", "bc", "abc"]


def test_one_choice_is_taken_as_it_is():
    """However bad it is."""
    assert forward(["a"], lambda _: 99.0) == [Step("a", 99.0)]
