"""python -m fiscal_integration.sandbox"""

import argparse
import contextlib
import threading

from fiscal_integration.sandbox.server import NOTICE, Sandbox


def main(arguments=None):
	parser = argparse.ArgumentParser(
		prog="python -m fiscal_integration.sandbox", description="Local emulators of the fiscal providers."
	)
	parser.add_argument("--port", type=int, default=8770, help="port on 127.0.0.1 (8770); 0 takes a free one")
	parser.add_argument("--state", help="file in which to keep what was issued")
	options = parser.parse_args(arguments)
	sandbox = Sandbox(options.port, options.state)
	try:
		sandbox.start()
	except OSError as error:
		parser.exit(1, f"Port {options.port} cannot be used: {error.strerror}. Choose another with --port.\n")
	print(f"{NOTICE}\n\nWhat was issued: http://127.0.0.1:{sandbox.port}/\n")
	for key in sandbox.emulators:
		print(f"{key}\n  Server URL  {sandbox.url(key)}\n  Secret Key  {sandbox.secret_key(key)}")
	print(
		"\nA site calls it once it is allowed to: bench --site SITE set-config -p fiscal_allow_loopback 1"
		"\nNo connection whose environment is Production does.",
	)
	print("\nStop with Ctrl+C.", flush=True)
	with contextlib.suppress(KeyboardInterrupt):
		threading.Event().wait()
	sandbox.stop()


if __name__ == "__main__":
	main()
