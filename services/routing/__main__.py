"""``python -m services.routing``: the routing service, configured by ``TANDEM_*`` variables."""

from services.common.run import run_service
from services.routing.server import RoutingService
from services.routing.settings import RoutingSettings

if __name__ == "__main__":
    run_service("routing", RoutingSettings, RoutingService)
