"""What rating is told by its environment."""

from typing import Annotated

from pydantic import Field

from services.common.settings import ServiceSettings


class RatingSettings(ServiceSettings):
    """``TANDEM_*`` variables of rating."""

    lease_s: Annotated[float, Field(ge=1, le=3600)] = 180.0
    """How long money set aside by a process outlives it, at least: after its death the account
    has it back this much later. It can be reserved from for a third of that after the last
    renewal, so this also says how long calls are authorised without Postgres."""
    credit_timeout_s: Annotated[float, Field(gt=0)] = 1.0
    """Longest wait of a call for Postgres; then it is refused."""
    settle_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Longest settlement transaction."""
    config_poll_s: Annotated[float, Field(gt=0)] = 3.0
    """How often the configuration's revision is looked at when nothing is heard of a change."""
    redeliver_s: Annotated[float, Field(ge=1, le=600)] = 15.0
    """What a process that died had in hand is given to another this much later. Everything is
    idempotent, so exceeding it costs work, nothing else."""
