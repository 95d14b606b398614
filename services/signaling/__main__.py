"""``python -m services.signaling``."""

from services.common.run import run_service
from services.signaling.server import build
from services.signaling.settings import SignalingSettings

if __name__ == "__main__":
    run_service("signaling", SignalingSettings, build)
