"""Students: models that learn from what the bank says of rows, and not from labels alone. Their settings.

All that a student of a fold learns comes from models that never saw the fold.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from podium.fitting.member import Member
from podium.settings import Settings
from podium.training import Finetune


class Student(Settings):
    """A model like any other, a `member` or a `finetune`, that is also taught by members of the bank.

    Of each fold, the teacher is the ensemble of models that did not see the fold, and so are its weights.
    """

    member: Member | None = None
    """A head on one `backbone` or on several `backbones`, with its settings."""
    finetune: Finetune | None = None
    """Instead: a network, with its settings."""
    teachers: tuple[str, ...] = ()
    """Names of members, fusions and finetunes; none: all of them."""
    blend: Literal["mean", "hill_climb"] = "hill_climb"
    """How the teachers are combined."""
    splits: tuple[Literal["test", "extra"], ...] = ("test", "extra")
    """The rows without labels that are learnt from."""
    confidence: float = Field(0.0, ge=0, lt=1)
    """The least probability of a row's likeliest answer; rows with less are left out."""
    weight: float = Field(1.0, gt=0)
    """Of a row without a label, beside a labelled row's 1."""
    rounds: int = Field(1, ge=1)
    """Times that it learns; after the first, it is its own teacher."""
    distill: float = Field(0.0, ge=0, le=1)
    """The share of the teachers' word in a labelled row's target."""
    distrust: float | None = Field(None, gt=0, lt=1)
    """A labelled row is left out where the teachers give its label a lower probability; null: none is."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.member is None) == (self.finetune is None):
            raise ValueError("give `member` or `finetune`, one of them")
        if not self.splits and not self.distill and self.distrust is None:
            raise ValueError("it has nothing to learn from its teachers: give `splits`, `distill` or `distrust`")
        if self.rounds > 1 and not self.splits:
            raise ValueError("`rounds`: rows with labels are taught once; give `splits`")
        return self

    def named(self, heads: Mapping[str, Member], finetunes: Mapping[str, Finetune]) -> list[str]:
        """Return the sorted names of its teachers, of all heads and networks that are fitted here."""
        return sorted(self.teachers or [*heads, *finetunes])

    def backbones(self, heads: Mapping[str, Member], finetunes: Mapping[str, Finetune]) -> list[str]:
        """Return the sorted names of the features that it and its teachers take."""
        models = [heads[name] for name in self.named(heads, finetunes) if name in heads]
        models += [self.member] if self.member else []
        return sorted({name for model in models for name in model.backbones})

    @property
    def asks_of_labelled(self) -> bool:
        """Return whether teachers are asked of rows with labels, which takes models that saw two folds less."""
        return self.distill > 0 or self.distrust is not None
