"""What Panama's tax authority (DGI) asks for, whichever provider carries it (panama.md section 5)."""
