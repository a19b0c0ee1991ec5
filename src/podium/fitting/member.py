"""The settings of a member of the bank: one head on the features of one backbone, or of several."""

from typing import Literal

from pydantic import Field

from podium.frozen import Frozen
from podium.heads import Head


class Member(Frozen):
    """One head on one backbone, or (a fusion) on several backbones' concatenated features."""

    backbones: tuple[str, ...] = Field(min_length=1)
    head: Head
    metadata: bool = False  # the competition's metadata columns, numbers, as features beside the images'
    select: Literal["all", "forward"] = "all"  # forward: only those backbones that help, by out-of-fold loss
