"""python -m embedded create|migrate|serve|worker|scheduler|redis"""

import argparse
import os
import time

import embedded


def main(argv=None):
	parser = argparse.ArgumentParser(prog="python -m embedded", description="An embedded Frappe site.")
	commands = parser.add_subparsers(dest="command", required=True)
	default_site = os.environ.get("EMBEDDED_SITE", "embedded/.state/site.localhost")

	def command(name, help):
		sub = commands.add_parser(name, help=help)
		sub.add_argument("--site", default=default_site, help="the site's directory")
		return sub

	command("create", "make a fresh site with all apps").add_argument(
		"--redis-queue", help="redis://host:port"
	)
	command("migrate", "patches, schema, after_migrate")
	serve = command("serve", "answer HTTP on loopback")
	serve.add_argument("--port", type=int, default=8000)
	worker = command("worker", "work on the RQ queues")
	worker.add_argument("--queue", default="short,default,long")
	worker.add_argument("--burst", action="store_true", help="stop when the queues are empty")
	scheduler = command("scheduler", "run what hooks.py schedules")
	scheduler.add_argument("--once", metavar="EVENT", required=True, help='such as hourly or "* * * * *"')
	command("redis", "a throw-away Redis until interrupted").add_argument("--port", type=int)
	options = parser.parse_args(argv)
	return globals()[f"_{options.command}"](options)


def _create(options):
	print(
		embedded.site.create(
			options.site, config={"redis_queue": options.redis_queue} if options.redis_queue else None
		)
	)


def _migrate(options):
	embedded.site.migrate(options.site)


def _serve(options):
	from embedded.server import Server

	server = Server(options.site, port=options.port)
	print(f"serving {options.site} on {server.url}")
	try:
		server.httpd.serve_forever()
	except KeyboardInterrupt:
		server.httpd.server_close()


def _worker(options):
	from embedded import worker

	worker.run(options.site, options.queue.split(","), burst=options.burst)


def _scheduler(options):
	import frappe
	from frappe.utils.scheduler import run_scheduler_events

	embedded.site.connect(options.site)
	try:
		for method in run_scheduler_events(options.once):
			print(method)
	finally:
		frappe.destroy()


def _redis(options):
	with embedded.redis.start(options.port) as server:
		print(server.url, flush=True)
		try:
			while server.process.poll() is None:
				time.sleep(0.5)
		except KeyboardInterrupt:
			pass


if __name__ == "__main__":
	main()
