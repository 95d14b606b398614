"""Events on local disk until JetStream has them: :class:`Spool`."""

from services.common.spool.spool import Publish, Spool

__all__ = ["Publish", "Spool"]
