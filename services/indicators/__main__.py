"""`python -m services.indicators web|consume|relay|migrate|all`, `rebuild`, and `criteria …` (see `upkeep`)."""

import sys

from chassis.service import main
from services.indicators.app import service
from services.indicators.rebuilding import main as rebuild
from services.indicators.upkeep.command import main as upkeep

if __name__ == "__main__":
    if sys.argv[1:2] == ["rebuild"]:
        sys.exit(rebuild(sys.argv[2:]))
    if sys.argv[1:2] == ["criteria"]:
        sys.exit(upkeep(sys.argv[2:]))
    main(service)
