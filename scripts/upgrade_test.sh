#!/usr/bin/env bash
# A site with fiscal data is taken from one bench to others of newer Frappe, one after another; nothing may be lost.
#
#   bash scripts/upgrade_test.sh BENCH_OLD BENCH_NEW [BENCH_NEWER ...]
#
# For each newer bench: dump, restore there with the same encryption key, bench migrate, compare every record, verify
# the chains against the heads written before. Runs as the benches' owner (root changes to that user). The app must be
# in each bench (make bench-test puts it there) and MariaDB and each bench's Redis must be up.
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
site=fiscal-upgrade.localhost
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
redis_up() {
	local name port
	for name in queue cache; do
		port=$(grep -oE '^port [0-9]+' "$1/config/redis_$name.conf" | cut -d' ' -f2)
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (cd "$1" && redis-server "config/redis_$name.conf" --daemonize yes >/dev/null)
	done
}
run() { local bench=$1; shift; (cd "$bench/sites" && PATH="$bench/env/bin:$PATH" "$bench/env/bin/python" -m frappe.utils.bench_helper frappe "$@"); }
upgrade() { local bench=$1; shift; (cd "$bench/sites" && PATH="$bench/env/bin:$PATH" "$bench/env/bin/python" "$bench/apps/fiscal_integration/scripts/upgrade.py" "$@"); }
config() { "$old/env/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1/sites/$site/site_config.json" "$2"; }
dump() { mysqldump -uroot -p"$password" --single-transaction "$(config "$1" db_name)" 2>/dev/null | gzip >"$work/dump.sql.gz"; }

echo "-- a site with data on $old"
redis_up "$old"
base=$(ls -t "$old"/sites/.fiscal_erpnext_*.sql.gz | head -n 1)
run "$old" new-site "$site" --force --db-root-password "$password" --admin-password admin --source-sql "$base" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
run "$old" --site "$site" install-app fiscal_integration >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
upgrade "$old" make "$site" "$work/before.json"
run "$old" --site "$site" fiscal-verify --write-heads "$work/heads.json" | tail -3
key=$(config "$old" encryption_key)
from=$old
shift
for bench in "$@"; do
	echo "-- to $bench"
	redis_up "$bench"
	dump "$from"
	run "$bench" new-site "$site" --force --db-root-password "$password" --admin-password admin --source-sql "$work/dump.sql.gz" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
	run "$bench" --site "$site" set-config encryption_key "$key"
	started=$SECONDS
	run "$bench" --site "$site" migrate >"$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
	echo "migrated in $((SECONDS - started)) s"
	upgrade "$bench" compare "$site" "$work/before.json"
	run "$bench" --site "$site" fiscal-verify --against "$work/heads.json" | tail -3
	from=$bench
done
