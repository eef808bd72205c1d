"""`python -m services.identity web|consume|relay|migrate|republish|all|create-admin|add-program|units`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

from chassis.service import main
from services.identity import seed
from services.identity.app import service
from services.identity.oidc import operator as programs
from services.identity.settings import Settings
from services.identity.units import operator


def create_admin(arguments: list[str]) -> None:
    """Ask for a password twice and make an administrator of a province."""
    parser = argparse.ArgumentParser(prog="python -m services.identity create-admin")
    parser.add_argument("user", help="user name to sign in with")
    parser.add_argument("--unit", default=seed.PROVINCE, help="code of the province, as of today")
    asked = parser.parse_args(arguments)
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        raise SystemExit("the two passwords differ")
    asyncio.run(seed.create_admin(Settings(), asked.user, password, asked.unit))


if __name__ == "__main__":
    if sys.argv[1:2] == ["create-admin"]:
        create_admin(sys.argv[2:])
    elif sys.argv[1:2] == ["add-program"]:
        sys.exit(programs.main(sys.argv[2:], Settings))
    elif sys.argv[1:2] == ["units"]:
        sys.exit(operator.main(sys.argv[2:], Settings, "python -m services.identity units"))
    else:
        main(service)
