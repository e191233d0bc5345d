"""SAT's catalogues as the emulator judges by them: written for it alone, and compared with SAT's own by tests.

Sources: the catalogues of CFDI 4.0 in phpcfdi/resources-sat-catalogs (regimes, uses, c_TasaOCuota) and in the
package satcfdi (currencies with their decimals, countries). Where satcfdi is installed, as in the tests, the
large catalogues (products, units, postal codes) are asked there; elsewhere only their form is checked.
"""

import functools
from decimal import ROUND_HALF_UP, Decimal

PAYMENT_FORMS = frozenset("01 02 03 04 05 06 08 12 13 14 15 17 23 24 25 26 27 28 29 30 31 99".split())

PERSONS, COMPANIES = "persons", "companies"
BOTH = frozenset((PERSONS, COMPANIES))
REGIMES = {
	**{code: frozenset((PERSONS,)) for code in "605 606 607 608 611 612 614 615 616 621 625".split()},
	**{code: frozenset((COMPANIES,)) for code in "601 603 620 622 623 624".split()},
	**{code: BOTH for code in ("610", "626")},
}
"""c_RegimenFiscal: the regimes in force, and whose they are. 609, 628, 629 and 630 are over."""

_PURCHASES = frozenset("601 603 606 612 620 621 622 623 624 625 626".split())
_DEDUCTIONS = frozenset("605 606 607 608 611 612 614 615 625".split())
USES = {
	**{use: _PURCHASES for use in "G01 G03 I01 I02 I03 I04 I05 I06 I07 I08".split()},
	"G02": _PURCHASES | {"616"},
	**{use: _DEDUCTIONS for use in "D01 D02 D03 D04 D05 D06 D07 D08 D09 D10".split()},
	"S01": frozenset(REGIMES),
	"CP01": frozenset(REGIMES),
	"CN01": frozenset({"605"}),
}
"""c_UsoCFDI with the regimes of receivers that it admits. D01 to D10 and CN01 are for persons only."""
USES_OF_PERSONS = frozenset(use for use in USES if use.startswith("D")) | {"CN01"}

TAXES = {"ISR": "001", "IVA": "002", "IEPS": "003"}
LARGEST_QUOTA = Decimal("66.5062")
# 2.0 and 0.32 are the law's rates on tobacco of 2026; the public copy of the catalogue does not have them yet.
_IEPS = tuple(map(Decimal, "0.265 0.3 0.53 0.5 1.6 0.304 0.25 0.09 0.08 0.07 0.06 2.0 0.32".split()))
_FIXED = {
	("IVA", "Tasa", False): tuple(map(Decimal, ("0", "0.08", "0.16"))),
	("IEPS", "Tasa", False): (*_IEPS, Decimal("0.03"), Decimal(0)),
	("IEPS", "Tasa", True): _IEPS,
}
_UP_TO = {
	("IVA", "Tasa", True): Decimal("0.16"),
	("ISR", "Tasa", True): Decimal("0.35"),
	("IEPS", "Cuota", False): LARGEST_QUOTA,
	("IEPS", "Cuota", True): LARGEST_QUOTA,
}


def has_rate(tax: str, factor: str, rate: Decimal, withheld: bool) -> bool:
	"""Whether c_TasaOCuota holds the rate. Exempt is told without a rate, and never withheld."""
	kind = (tax, factor, withheld)
	if factor == "Exento":
		return tax in ("IVA", "IEPS") and not withheld
	if rate != rate.quantize(Decimal("0.000001")):
		return False
	return rate in _FIXED.get(kind, ()) or (kind in _UP_TO and 0 <= rate <= _UP_TO[kind])


_DECIMALS = {
	0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XAG XAU XBA XBB XBC XBD XDR XOF XPD "
	"XPF XPT XSU XTS XUA XXX",
	2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BZD CAD CDF CHE "
	"CHF CHW CNH CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ESD ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ "
	"GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK "
	"MNT MOP MRO MUR MVR MWK MXN MXV MYR MZN NAD NGN NIC NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB "
	"SAR SBD SCR SDG SEK SGD SHP SLL SOS SRD SSP STD SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYP "
	"UYU UZS VEF VES WST XCD YER ZAR ZMW ZWL",
	3: "BHD IQD JOD KWD LYD OMR TND",
	4: "CLF",
}
CURRENCIES = {code: decimals for decimals, codes in _DECIMALS.items() for code in codes.split()}
"""c_Moneda with the decimals that amounts in it may have."""

COUNTRIES = frozenset(
	"ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH "
	"BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB "
	"CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO "
	"GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN "
	"IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA "
	"MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER "
	"NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU "
	"RUS RWA SAU SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA "
	"TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT "
	"WLF WSM YEM ZAF ZMB ZWE ZZZ".split()
)

PERIODICITIES = {"day": "01", "week": "02", "fortnight": "03", "month": "04", "two_months": "05"}
RELATIONSHIPS = frozenset(f"0{number}" for number in range(1, 10))
PUBLIC, FOREIGN = "XAXX010101000", "XEXX010101000"
PUBLIC_NAME = "PUBLICO EN GENERAL"

# Text and number facets of cfdv40.xsd and Pagos20.xsd, by field of the request: longest text.
LONGEST = {
	"legal_name": 300,
	"description": 1000,
	"unit_name": 20,
	"sku": 100,
	"series": 25,
	"conditions": 1000,
	"numOperacion": 100,
	"nomBancoOrdExt": 300,
}


def rounded(value: Decimal, decimals: int) -> Decimal:
	"""`value` rounded half up, as SAT's "redondeo"."""
	return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


_NAMES = {"products": "C756_c_ClaveProdServ", "units": "C756_c_ClaveUnidad", "zips": "C756_c_CodigoPostal"}
_FEW = {
	"products": {
		"01010101": "No existe en el catálogo",
		"50201706": "Café",
		"84111506": "Servicios de facturación",
	},
	"units": {
		"H87": "Pieza",
		"KGM": "Kilogramo",
		"LTR": "Litro",
		"E48": "Unidad de servicio",
		"ACT": "Actividad",
	},
	"zips": {},
}


@functools.cache
def large(kind: str) -> tuple[dict[str, str], bool]:
	"""One of the large catalogues ("products", "units", "zips") by key, and whether it is whole."""
	try:
		from satcfdi.catalogs import select_all
	except ImportError:
		return _FEW[kind], False
	found = select_all(_NAMES[kind])
	return {key: value if isinstance(value, str) else str(value[0]) for key, value in found.items()}, True


def knows(kind: str, key: str) -> bool:
	"""Whether the key is in a large catalogue; always, where only its form can be checked."""
	entries, whole = large(kind)
	return key in entries or not whole
