"""Owns how the ecommerce service is put together."""

from __future__ import annotations

from xaso.ecommerce.v1 import ecommerce_pb2, ecommerce_pb2_grpc

from chassis.rpc import Rpc
from chassis.service import Service
from services.ecommerce.api import api
from services.ecommerce.clock import turn_listings
from services.ecommerce.consumers import on
from services.ecommerce.manage import manage
from services.ecommerce.office import office
from services.ecommerce.rpc import SCOPES, CatalogueService
from services.ecommerce.settings import Settings
from services.ecommerce.web import pages


def service(settings: Settings | None = None) -> Service:
    """Local products: who makes them, what they are, where they are sold."""
    settings = settings or Settings()
    catalogue = Rpc(
        add=ecommerce_pb2_grpc.add_CatalogueServiceServicer_to_server,
        servicer=CatalogueService(settings.public_url),
        scopes=SCOPES,
        descriptor=ecommerce_pb2.DESCRIPTOR,
    )
    return Service(
        settings=settings,
        package="services.ecommerce",
        title="Xã Số: sản phẩm địa phương",
        # The desk's fixed addresses (/products/new) are looked at before the public /products/{id}.
        pages=[office, manage, pages],
        api=[api],
        consumers=on,
        rpcs=[catalogue],
        tasks=[turn_listings],
    )
