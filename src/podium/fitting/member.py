"""The settings of a member of the bank: one head on the features of one backbone, or of several."""

from typing import Literal

from pydantic import Field

from podium.frozen import Frozen
from podium.heads import Head


class Member(Frozen):
    """One head on one backbone, or (a fusion) on several backbones' concatenated features."""

    backbones: tuple[str, ...] = Field(min_length=1)
    """Names of backbones, finetunes or imported features; a member of `members` has one."""
    head: Head
    """The head, by its name and settings."""
    metadata: bool = False
    """Whether the competition's metadata columns, which are numbers, join the images' features."""
    select: Literal["all", "forward"] = "all"
    """`forward` takes only those backbones that lower the out-of-fold loss, one at a time."""
