"""All commands: each module adds its own when it is imported, in the order help lists them."""

from deploy.local.cli import begin, calls, configure, guard, prices
from deploy.local.cli.app import app

__all__ = ["app", "begin", "calls", "configure", "guard", "prices"]
