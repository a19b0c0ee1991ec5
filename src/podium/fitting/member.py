"""The settings of a member of the bank: one head on the features of one backbone, or of several."""

from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from podium.contracts.metadata import Encoding
from podium.fitting.metadata import Choice
from podium.heads import Head
from podium.settings import Settings


class Member(Settings):
    """One head on one backbone, or (a fusion) on several backbones' concatenated features."""

    backbones: tuple[str, ...] = Field(min_length=1)
    """Names of backbones, finetunes or imported features, or `metadata` for columns alone; one, of `members`."""
    head: Head
    """The head, by its name and settings."""
    metadata: Choice = False
    """Which metadata columns join the features: all, a list, or by name an encoding (`number`, `date`, `onehot`,
    `ordinal`, `target`) or the ordered list of categories. What it does not say, the training rows show."""
    select: Literal["all", "forward"] = "all"
    """`forward` takes only those backbones that lower the out-of-fold loss, one at a time."""

    @field_validator("metadata", mode="before")
    @classmethod
    def _say_what_is_wrong(cls, value: Any) -> Any:
        """Raise one line for a value of another form; pydantic's own would list every form that it is not."""
        if not isinstance(value, bool | list | tuple | dict) or value in ([], (), {}):
            raise ValueError("must be true, a list of columns, or an encoding for each column by its name")
        said = value if isinstance(value, dict) else {}
        for name, encoding in said.items():
            if not isinstance(encoding, list | tuple) and encoding not in get_args(Encoding):
                choices = ", ".join(get_args(Encoding))
                raise ValueError(f"{name}: unknown encoding {encoding!r}; choose one of: {choices}, or list categories")
        return value
