"""Facturapi API v2 as its OpenAPI, its official SDK and SAT's rules describe it: an emulator for tests and training."""

from fiscal_integration.sandbox.facturapi.emulator import FacturapiEmulator
from fiscal_integration.sandbox.facturapi.entries import ISSUER

__all__ = ("ISSUER", "FacturapiEmulator")
