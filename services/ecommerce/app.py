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
from services.ecommerce.payments.api import api as payments_api
from services.ecommerce.payments.api import bank
from services.ecommerce.payments.files import files as payments_files
from services.ecommerce.payments.notices import notices
from services.ecommerce.payments.pay import pay
from services.ecommerce.payments.shops import shops
from services.ecommerce.payments.web import collecting
from services.ecommerce.rpc import SCOPES, CatalogueService
from services.ecommerce.settings import Settings
from services.ecommerce.tourism.api import api as tourism_api
from services.ecommerce.tourism.clock import turn_points
from services.ecommerce.tourism.desk import desk as tourism_desk
from services.ecommerce.tourism.web import pages as tourism_pages
from services.ecommerce.tracing.api import api as tracing_api
from services.ecommerce.tracing.api import events as epcis_events
from services.ecommerce.tracing.desk import desk as tracing_desk
from services.ecommerce.tracing.lot_desk import lot_desk
from services.ecommerce.tracing.web import pages as tracing_pages
from services.ecommerce.web import pages


def service(settings: Settings | None = None) -> Service:
    """Local products: who makes them, what they are, where they are sold; and places to visit."""
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
        pages=[
            office,
            manage,
            tourism_desk,
            tourism_pages,
            tracing_desk,
            lot_desk,
            tracing_pages,
            pages,
            collecting,
            notices,
            payments_files,
            shops,
            pay,
        ],
        api=[api, tourism_api, tracing_api, epcis_events, payments_api, bank],
        consumers=on,
        rpcs=[catalogue],
        tasks=[turn_listings, turn_points],
    )
