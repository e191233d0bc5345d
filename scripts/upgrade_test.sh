#!/usr/bin/env bash
# A site with fiscal data is taken from one bench to others of newer Frappe, one after another; nothing may be lost.
#
#   make upgrade-test BENCHES="BENCH_OLD BENCH_NEW [BENCH_NEWER ...]"
#
# For each newer bench: dump, restore there with the same encryption key, bench migrate, compare every record, verify
# the chains against the heads written before. Runs as the benches' owner (root changes to that user). The app must be
# in each bench (make bench-test puts it there), and MariaDB must be up. What runs is this checkout, and it has a Redis
# of its own: a worker of the bench would send the site's documents behind our back.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
old=${1:?Say which benches: upgrade_test.sh OLD NEW [NEWER ...]}
owner=$(stat -c %U "$old")
if [ "$(id -u)" = 0 ]; then
	home=$(getent passwd "$owner" | cut -d: -f6)
	exec runuser -u "$owner" -- env HOME="$home" USER="$owner" PATH="$old/env/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
		bash "$repo/scripts/upgrade_test.sh" "$@"
fi
password=${FISCAL_DB_ROOT_PASSWORD:-root}
site=fiscal-upgrade.localhost fresh=fiscal-fresh.localhost
work=$(mktemp -d)
failed=0 pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
redis=$("$old/env/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$work" >"$work/redis" 2>&1 & pids+=($!)
export FRAPPE_REDIS_QUEUE=redis://127.0.0.1:$redis/0 FRAPPE_REDIS_CACHE=redis://127.0.0.1:$redis/1
export PYTHONPATH=$repo PYTHONDONTWRITEBYTECODE=1
run() { local bench=$1; shift; (cd "$bench/sites" && PATH="$bench/env/bin:$PATH" "$bench/env/bin/python" -m frappe.utils.bench_helper frappe "$@"); }
upgrade() { local bench=$1; shift; (cd "$bench/sites" && PATH="$bench/env/bin:$PATH" "$bench/env/bin/python" "$repo/scripts/upgrade.py" "$@"); }
config() { "$old/env/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1/sites/$2/site_config.json" "$3"; }
told() { "$@" >"$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }; }
versions() { "$1/env/bin/python" -c 'import frappe, erpnext; print(f"Frappe {frappe.__version__}, ERPNext {erpnext.__version__}")'; }
base() { ls -t "$1"/sites/.fiscal_erpnext_*.sql.gz | head -n 1; }
fresh_site() { told run "$1" new-site "$2" --force --db-root-password "$password" --admin-password admin --source-sql "$3"; }
dump() { mysqldump -uroot -p"$password" --single-transaction "$(config "$1" "$site" db_name)" 2>/dev/null | gzip >"$work/dump.sql.gz"; }

echo "-- a site with data on $old: $(versions "$old")"
(cd "$work" && exec "$old/env/bin/python" -m fiscal_integration.sandbox --port 0 --state "$work/sandbox.json") >"$work/sandbox" 2>&1 & pids+=($!)
for _ in $(seq 60); do grep -q 'What was issued' "$work/sandbox" && break; sleep 0.5; done
port=$(sed -nE 's|^What was issued: http://127.0.0.1:([0-9]+)/$|\1|p' "$work/sandbox")
[ -n "$port" ] || { cat "$work/sandbox"; exit 1; }
fresh_site "$old" "$site" "$(base "$old")"
told run "$old" --site "$site" install-app fiscal_integration
upgrade "$old" make "$site" "$work/before.json" "$port" || failed=1
run "$old" --site "$site" fiscal-verify --write-heads "$work/heads.json" 2>/dev/null | tail -3 || failed=1
key=$(config "$old" "$site" encryption_key)
from=$old
shift
for bench in "$@"; do
	echo "-- to $bench: $(versions "$bench")"
	# What another version has cached is not read.
	redis-cli -p "$redis" flushall >/dev/null
	dump "$from"
	fresh_site "$bench" "$site" "$work/dump.sql.gz"
	run "$bench" --site "$site" set-config encryption_key "$key"
	run "$bench" --site "$site" set-config -p fiscal_allow_loopback 1
	cp -a "$from/sites/$site/private/files" "$bench/sites/$site/private/" && cp -a "$from/sites/$site/public/files" "$bench/sites/$site/public/"
	started=$SECONDS
	told run "$bench" --site "$site" migrate
	echo "migrated in $((SECONDS - started)) s"
	upgrade "$bench" compare "$site" "$work/before.json" || failed=1
	run "$bench" --site "$site" fiscal-verify --against "$work/heads.json" 2>/dev/null | tail -3 || failed=1
	upgrade "$bench" continue "$site" "$work/before.json" "$port" || failed=1
	run "$bench" --site "$site" fiscal-verify --against "$work/heads.json" --write-heads "$work/heads.json" 2>/dev/null | tail -3 || failed=1
	from=$bench
done
echo "-- the custom fields of a fresh site on $from"
fresh_site "$from" "$fresh" "$(base "$from")"
told run "$from" --site "$fresh" install-app fiscal_integration
upgrade "$from" fields "$fresh" "$work/fields.json" || failed=1
upgrade "$from" fields "$site" "$work/fields.json" || failed=1
exit "$failed"
