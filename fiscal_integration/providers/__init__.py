"""The providers, one module each. `classes()` is the registry; another app adds to it with the hook
`fiscal_providers` (a list of dotted paths to Provider classes)."""

from importlib import import_module

from fiscal_integration.providers.base import Provider

BUILT_IN = (
	"fiscal_integration.providers.facturapi.Facturapi",
	"fiscal_integration.providers.conteo.Conteo",
	"fiscal_integration.providers.facturafacil.FacturaFacil",
	"fiscal_integration.providers.hka.HKA",
	"fiscal_integration.providers.aludra.Aludra",
	"fiscal_integration.providers.fiskaly.Fiskaly",
)


def load(paths=()) -> dict[str, type[Provider]]:
	"""Provider classes by key, the built-in ones first. Raises ValueError when two claim one key."""
	found: dict[str, type[Provider]] = {}
	for path in dict.fromkeys((*BUILT_IN, *paths)):
		module, _, name = path.rpartition(".")
		provider = getattr(import_module(module), name)
		if provider.key in found:
			raise ValueError(f"Two fiscal providers call themselves {provider.key}")
		found[provider.key] = provider
	return found
