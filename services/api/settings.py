"""What the API is told by its environment."""

from typing import Annotated

from pydantic import AfterValidator, Field

from services.common.addresses import each_of, or_empty, service_address
from services.common.settings import HostPort, ServiceAddress, ServiceSettings


class Settings(ServiceSettings):
    """``TANDEM_*`` variables of this service."""

    http: HostPort = "127.0.0.1:8080"
    """Where the API listens: ``host:port``."""
    admin_key: str = Field(default="", repr=False)
    """A key that may do everything, for the first steps; empty: there is none."""
    signaling_address: Annotated[str, AfterValidator(each_of(service_address))] = "127.0.0.1:5001"
    """One address, or several separated by commas: each has calls of its own."""
    routing_address: ServiceAddress = "127.0.0.1:5002"
    rating_address: ServiceAddress = "127.0.0.1:5003"
    media_address: Annotated[str, AfterValidator(or_empty(service_address))] = ""
    """Only for the health page; empty: not shown."""
    largest_body_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    """Of any request except rate imports, which are streamed."""
    postgres_connections: Annotated[int, Field(ge=2, le=100)] = 12
