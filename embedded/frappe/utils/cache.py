"""frappe.cache: Redis when the site's config names one, else a dict of this process."""

import pickle
import threading
import time

import redis
from frappe.exceptions import refuse


class _Values:
	"""Frappe's own calls, on top of raw get/set/delete/hash commands."""

	prefix = ""

	def __call__(self):
		return self

	def make_key(self, key, user=None, shared=False):
		return f"{'' if shared else self.prefix + '|'}{'user:' + str(user) + ':' if user else ''}{key}"

	def set_value(self, key, val, user=None, expires_in_sec=None, shared=False):
		self.set(self.make_key(key, user, shared), pickle.dumps(val), ex=expires_in_sec)

	def get_value(self, key, generator=None, user=None, expires=False, shared=False):
		raw = self.get(self.make_key(key, user, shared))
		if raw is not None:
			return pickle.loads(raw)
		if generator:
			value = generator()
			self.set_value(key, value, user, shared=shared)
			return value

	def delete_value(self, keys, user=None, make_keys=True, shared=False):
		for key in keys if isinstance(keys, list | tuple) else [keys]:
			self.delete(self.make_key(key, user, shared) if make_keys else key)

	delete_key = delete_value

	def delete_keys(self, key):
		for full in self.get_keys(key):
			self.delete(full)

	def get_keys(self, key):
		return list(self.scan_iter(self.make_key(key) + "*"))

	def exists(self, *keys, user=None, shared=False):
		return sum(self.get(self.make_key(k, user, shared)) is not None for k in keys)

	def hset(self, name, key, value, shared=False, *args, **kwargs):
		return super().hset(self.make_key(name, shared=shared), str(key), pickle.dumps(value))

	def hget(self, name, key, generator=None, shared=False):
		raw = super().hget(self.make_key(name, shared=shared), str(key))
		if raw is not None:
			return pickle.loads(raw)
		if generator:
			value = generator()
			self.hset(name, key, value, shared)
			return value

	def hdel(self, name, keys, shared=False, pipeline=None):
		keys = keys if isinstance(keys, list | tuple) else [keys]
		super().hdel(self.make_key(name, shared=shared), *map(str, keys))

	def hexists(self, name, key, shared=False):
		return super().hexists(self.make_key(name, shared=shared), str(key))


class RedisWrapper(_Values, redis.Redis):
	def bind(self, prefix):
		self.prefix = prefix
		return self


class _Dict:
	"""The raw commands that one process can honour by itself."""

	def __init__(self):
		self._data, self._lock = {}, threading.RLock()

	def _live(self, key):
		value, expires = self._data.get(key, (None, None))
		if expires is not None and expires <= time.monotonic():
			del self._data[key]
			return None
		return value

	def get(self, name):
		with self._lock:
			return self._live(name)

	def set(self, name, value, ex=None, px=None, nx=False, xx=False):
		with self._lock:
			present = self._live(name) is not None
			if (nx and present) or (xx and not present):
				return None
			life = ex if ex is not None else px / 1000 if px else None
			value = value if isinstance(value, bytes) else str(value).encode()
			self._data[name] = (value, None if life is None else time.monotonic() + life)
			return True

	def setex(self, name, seconds, value):
		return self.set(name, value, ex=seconds)

	def delete(self, *names):
		with self._lock:
			return sum(self._data.pop(n, None) is not None for n in names)

	def incrby(self, name, amount=1):
		with self._lock:
			value = int(self._live(name) or 0) + amount
			self._data[name] = (str(value).encode(), self._data.get(name, (None, None))[1])
			return value

	incr = incrby

	def decr(self, name, amount=1):
		return self.incrby(name, -amount)

	decrby = decr

	def expire(self, name, seconds):
		with self._lock:
			if (value := self._live(name)) is None:
				return False
			self._data[name] = (value, time.monotonic() + seconds)
			return True

	def ttl(self, name):
		with self._lock:
			if self._live(name) is None:
				return -2
			expires = self._data[name][1]
			return -1 if expires is None else int(expires - time.monotonic())

	def scan_iter(self, match):
		return [k for k in list(self._data) if k.startswith(match.rstrip("*")) and self._live(k) is not None]

	def hset(self, name, key, value):
		with self._lock:
			self._data.setdefault(name, ({}, None))[0][key] = value

	def hget(self, name, key):
		return (self._live(name) or {}).get(key)

	def hdel(self, name, *keys):
		for key in keys:
			(self._live(name) or {}).pop(key, None)

	def hexists(self, name, key):
		return key in (self._live(name) or {})

	def ping(self):
		return True

	def flushall(self):
		self._data.clear()

	def __getattr__(self, name):
		if name.startswith("__"):
			raise AttributeError(name)
		refuse(f"frappe.cache.{name} without redis_cache in site_config.json")


class LocalCache(_Values, _Dict):
	pass
