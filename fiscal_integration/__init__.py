"""Fiscal Integration: submitted ERPNext invoices become government-valid fiscal documents."""

__version__ = "0.1.0"
