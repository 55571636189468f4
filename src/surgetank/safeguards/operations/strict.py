"""How what comes from outside is read: as it stands, or not at all."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A document or a part of one. Unknown keys are errors, and 5 is not "5"."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )
