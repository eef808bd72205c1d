"""`python -m services.media web|consume|relay|migrate|all`."""

from chassis.service import main
from services.media.app import service

if __name__ == "__main__":
    main(service)
