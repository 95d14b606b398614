"""Start the media service: ``python -m services.media``."""

from services.common.run import run_service
from services.media.server import MediaService
from services.media.settings import MediaSettings

if __name__ == "__main__":
    run_service("media", MediaSettings, MediaService)
