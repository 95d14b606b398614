"""``python -m services.rating``: the rating service, configured by ``TANDEM_*`` variables."""

from services.common.run import run_service
from services.rating.server import RatingService
from services.rating.settings import RatingSettings

if __name__ == "__main__":
    run_service("rating", RatingSettings, RatingService)
