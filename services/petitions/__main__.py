"""`python -m services.petitions web|consume|relay|migrate|all`."""

from chassis.service import main
from services.petitions.app import service

if __name__ == "__main__":
    main(service)
