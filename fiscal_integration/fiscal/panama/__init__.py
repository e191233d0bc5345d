"""What Panama's tax authority (DGI) asks for, whichever provider carries it (authorities/panama.md)."""
