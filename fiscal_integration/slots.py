"""How many requests are in the air at one connection, over all workers: a counted lease in Redis.

See decisions/0004-one-connection-many-requests.md.

A courtesy to the provider, not what keeps a document from being sent twice: when Redis is emptied the count
begins anew, and without Redis there is no limit.
"""

import secrets
import time

import frappe
from frappe.utils.background_jobs import get_redis_conn

LEASE_SECONDS = 60
"""A slot of a worker that died is free again after this; longer than a request takes but for the slowest."""
WAITING_SECONDS = 2
PAUSE = 0.02

# A live sale that finds no slot leaves its name in a second set, and bulk leaves that many slots free.
TAKE = """
local now = redis.call('time')
now = now[1] + now[2] / 1000000
redis.call('zremrangebyscore', KEYS[1], '-inf', now)
redis.call('zremrangebyscore', KEYS[2], '-inf', now)
local used, live = redis.call('zcard', KEYS[1]), ARGV[3] == '1'
if not live then used = used + redis.call('zcard', KEYS[2]) end
if used < tonumber(ARGV[1]) then
	redis.call('zrem', KEYS[2], ARGV[2])
	redis.call('zadd', KEYS[1], now + ARGV[4], ARGV[2])
	return 1
end
if live then redis.call('zadd', KEYS[2], now + ARGV[5], ARGV[2]) end
return 0
"""


class Slots:
	"""The slots of one connection. Made where the site is bound; take and give back from any thread."""

	def __init__(self, source: tuple[str, str], limit: int):
		name = "|".join((frappe.local.site, *source))
		self.keys = (f"fiscal_slots|{name}", f"fiscal_waiting|{name}")
		self.limit = limit
		try:
			self.redis = get_redis_conn()
		except Exception:
			self.redis = None

	def take(self, live: bool, wait: float) -> str | None:
		"""A token for one request, or None when none came free within `wait` seconds. Live sales go first."""
		token = secrets.token_hex(8)
		deadline = time.monotonic() + wait
		while True:
			if self._take(token, live):
				return token
			if time.monotonic() >= deadline:
				return None
			time.sleep(PAUSE)

	def _take(self, token, live) -> bool:
		if self.redis is None:
			return True
		try:
			arguments = (self.limit, token, int(live), LEASE_SECONDS, WAITING_SECONDS)
			return bool(self.redis.eval(TAKE, 2, *self.keys, *arguments))
		except Exception:
			return True

	def give_back(self, token: str | None):
		if self.redis is None or not token:
			return
		try:
			self.redis.zrem(self.keys[0], token)
		except Exception:
			frappe.logger("fiscal_integration").warning("A slot could not be given back; its lease will end.")

	def in_the_air(self) -> int:
		return int(self.redis.zcard(self.keys[0])) if self.redis is not None else 0
