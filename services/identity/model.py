"""Owns the declarative base that every table of the identity service hangs on."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from chassis.db import NAMING


class Base(DeclarativeBase):
    """Tables of the identity service."""

    metadata = sa.MetaData(naming_convention=NAMING)
