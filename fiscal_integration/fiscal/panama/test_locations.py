import unittest

from fiscal_integration.fiscal.panama import locations


class TestLocations(unittest.TestCase):
	def test_every_place_of_the_catalogue_is_whole(self):
		places = locations.catalogue()
		self.assertGreater(len(places), 640)
		for code, place in places.items():
			with self.subTest(code):
				self.assertRegex(code, r"^[1-9][0-9]?-[1-9][0-9]?-[1-9][0-9]?$")
				for name in (place.province, place.district, place.corregimiento):
					# The forms of the schema and of HKA's table.
					self.assertTrue(2 <= len(name) <= 50, name)
					self.assertEqual(name, name.strip())
					self.assertNotIn("INVALIDO", name)
					self.assertRegex(name, r"^[0-9A-ZÄÍÑÓ ().-]+$")

	def test_codes_are_numbered_without_gaps_but_for_those_that_became_districts_of_their_own(self):
		by_district = {}
		for code in locations.catalogue():
			province, district, number = map(int, code.split("-"))
			by_district.setdefault((province, district), set()).add(number)
		gaps = {
			district: sorted(set(range(1, max(numbers) + 1)) - numbers)
			for district, numbers in by_district.items()
			if set(range(1, max(numbers) + 1)) != numbers
		}
		# Tierras Altas left Bugaba (4-5) in 2013, Santa Fe left Chepigana (5-1) in 2015.
		self.assertEqual(gaps, {(4, 5): [4, 12], (5, 1): [7, 8]})
		self.assertEqual({province for province, _district in by_district}, set(range(1, 14)))

	def test_a_code_names_one_province_and_one_district(self):
		names = {}
		for code, place in locations.catalogue().items():
			province, district, _number = code.split("-")
			self.assertEqual(names.setdefault(province, place.province), place.province)
			self.assertEqual(names.setdefault((province, district), place.district), place.district)

	def test_published_samples_are_in_it(self):
		# HKA's own samples and the issue tracker of public clients name these.
		for code, corregimiento in (("8-8-7", "BELLA VISTA"), ("8-8-14", "ANCON")):
			self.assertEqual(locations.find(code).corregimiento, corregimiento)
		self.assertIsNone(locations.find("8-8-0"))
		self.assertIsNone(locations.find(""))

	def test_it_is_searched_by_words_and_code_whatever_the_accents(self):
		self.assertEqual(locations.search("8-8-7")[0].code, "8-8-7")
		self.assertEqual(locations.search("bella vista panama")[0].code, "8-8-7")
		self.assertIn("8-8-4", [place.code for place in locations.search("exposicion")])
		self.assertIn("4-6-1", [place.code for place in locations.search("DÁVID chiriqui", 50)])
		self.assertEqual(len(locations.search("", 20)), 20)
		self.assertEqual(locations.search("nowhere at all"), [])
