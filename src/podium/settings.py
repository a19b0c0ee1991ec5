"""The base of every model that is read from YAML: frozen, and strict about its keys."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Immutable settings; an unknown key is an error, so that a typing mistake is never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
