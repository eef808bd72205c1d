"""`python -m services.identity web|consume|relay|migrate|republish|all|create-admin`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

from chassis.service import main
from services.identity import seed
from services.identity.app import service
from services.identity.settings import Settings


def create_admin(arguments: list[str]) -> None:
    """Ask for a password twice and make an administrator of the province."""
    parser = argparse.ArgumentParser(prog="python -m services.identity create-admin")
    parser.add_argument("user", help="user name to sign in with")
    user = parser.parse_args(arguments).user
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        raise SystemExit("the two passwords differ")
    asyncio.run(seed.create_admin(Settings(), user, password))


if __name__ == "__main__":
    if sys.argv[1:2] == ["create-admin"]:
        create_admin(sys.argv[2:])
    else:
        main(service)
