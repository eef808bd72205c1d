"""`python -m services.indicators web|consume|relay|migrate|all`, `rebuild`, and `criteria …` (see `upkeep`)."""

import asyncio
import sys

from chassis.service import main
from services.indicators.app import service
from services.indicators.rebuilding import rebuild
from services.indicators.upkeep.command import main as upkeep

if __name__ == "__main__":
    if sys.argv[1:] == ["rebuild"]:
        sys.exit(asyncio.run(rebuild()))
    if sys.argv[1:2] == ["criteria"]:
        sys.exit(upkeep(sys.argv[2:]))
    main(service)
