"""`python -m services.indicators web|consume|relay|migrate|all`, and `rebuild`."""

import asyncio
import sys

from chassis.service import main
from services.indicators.app import service
from services.indicators.rebuilding import rebuild

if __name__ == "__main__":
    if sys.argv[1:] == ["rebuild"]:
        sys.exit(asyncio.run(rebuild()))
    main(service)
