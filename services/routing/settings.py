"""What routing is told by its environment."""

from typing import Annotated

from pydantic import Field

from services.common.settings import ServiceSettings


class RoutingSettings(ServiceSettings):
    """``TANDEM_*`` variables of routing."""

    config_poll_s: Annotated[float, Field(gt=0)] = 3.0
    """How often the configuration's revision is looked at when nothing is heard of a change."""
    deck_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    """Longest time that reading the rates of one deck may take."""
