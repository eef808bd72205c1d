"""`python -m services.ecommerce web|consume|relay|migrate|all`."""

from chassis.service import main
from services.ecommerce.app import service

main(service)
