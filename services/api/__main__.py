"""``python -m services.api``."""

from services.api.server import ApiService
from services.api.settings import Settings
from services.common.run import run_service

if __name__ == "__main__":
    run_service("api", Settings, ApiService)
