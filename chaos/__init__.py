"""Everything that can break does, while hundreds of sales are issued: see chaos/__main__.py."""
