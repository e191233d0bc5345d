"""What Austria's cash register regulation (RKSV) asks for, whichever provider carries it (authorities/austria.md)."""
