#!/usr/bin/env bash
# The whole suite on a real bench: a fresh site, MariaDB, Redis, a real RQ worker, HTTP, and a browser.
#
#   bash scripts/bench_test.sh BENCH
#
# Runs as the bench's owner (root changes to that user). Starts MariaDB and Redis where they are down, and stops
# those it started. FISCAL_DB_ROOT_PASSWORD is MariaDB's root password (default: root), FISCAL_TEST_SITE the name
# of the site that is made anew each time, FISCAL_BROWSER which browser tests run: all (default), core or none.
set -uo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
bench=${1:?Say which bench: make bench-test BENCH=/path/to/bench}
say() { printf '\n-- %s\n' "$*"; }
die() { echo "bench-test: $*" >&2; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

[ -d "$bench/apps/frappe" ] && [ -d "$bench/sites" ] || die "$bench is no bench: it has no apps/frappe and sites."
[ -d "$bench/apps/erpnext" ] || die "the bench has no ERPNext: bench get-app erpnext first."
bench=$(cd "$bench" && pwd)
owner=$(stat -c %U "$bench")

if [ "$(id -u)" = 0 ]; then
	[ "$owner" != root ] || die "$bench belongs to root, and bench refuses to run as root."
	listens() { (exec 3<>/dev/tcp/127.0.0.1/3306) 2>/dev/null; }
	database=
	if ! listens; then
		for name in mariadb mysql; do service "$name" start >/dev/null 2>&1 && database=$name && break; done
		for _ in $(seq 60); do listens && break; sleep 0.5; done
	fi
	# What the browser tests drive, and what reads our QR codes back.
	if command -v apt-get >/dev/null; then
		wanted=()
		for pair in chromium:chromium zbar-tools:zbarimg poppler-utils:pdftoppm; do
			command -v "${pair##*:}" >/dev/null || wanted+=("${pair%%:*}")
		done
		[ ${#wanted[@]} = 0 ] || { apt-get update -q && apt-get install -qy "${wanted[@]}"; } >/dev/null 2>&1 || echo "Could not install ${wanted[*]}"
	fi
	home=$(getent passwd "$owner" | cut -d: -f6)
	# The bench's own Python and Node come first: a bench of Frappe 16 has others than the machine.
	runuser -u "$owner" -- env HOME="$home" USER="$owner" LOGNAME="$owner" \
		PATH="$bench/env/bin:$home/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
		bash "$repo/scripts/bench_test.sh" "$bench"
	status=$?
	[ -z "$database" ] || service "$database" stop >/dev/null 2>&1
	exit "$status"
fi

cd "$bench"
python=$bench/env/bin/python
site=${FISCAL_TEST_SITE:-fiscal-test.localhost}
password=${FISCAL_DB_ROOT_PASSWORD:-root}
logs=$(mktemp -d)
pids=()
redis=()
versions=$("$python" -c 'import frappe, erpnext; print(f"Frappe {frappe.__version__}, ERPNext {erpnext.__version__}")')
echo "$bench: $versions, $("$python" --version), Node $(node --version 2>/dev/null || echo missing)"
bench_command() { (cd sites && "$python" -m frappe.utils.bench_helper frappe "$@"); }
finish() {
	for pid in "${pids[@]:-}"; do [ -n "$pid" ] && pkill -P "$pid" 2>/dev/null; [ -n "$pid" ] && kill "$pid" 2>/dev/null; done
	wait 2>/dev/null
	for port in "${redis[@]:-}"; do [ -n "$port" ] && redis-cli -p "$port" shutdown nosave >/dev/null 2>&1; done
	rm -rf "$logs"
}
trap finish EXIT

say "Redis and MariaDB"
for name in queue cache; do
	port=$(grep -oE '^port [0-9]+' "config/redis_$name.conf" | cut -d' ' -f2)
	if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		redis-server "config/redis_$name.conf" --daemonize yes >/dev/null || die "Redis ($name) does not start."
		redis+=("$port")
	fi
done
mysql -uroot -p"$password" -e 'select 1' >/dev/null 2>&1 || die "MariaDB does not answer root's password. Start it, or set FISCAL_DB_ROOT_PASSWORD."

say "The app in the bench"
# A copy of this checkout, as `bench get-app` would clone it: the bench's owner has to be able to build in it.
copy=$bench/apps/fiscal_integration
if [ -e "$copy" ] && [ ! -L "$copy" ] && [ ! -e "$copy/.bench_test_copy" ]; then
	die "$copy is somebody's checkout. Move it away, or run the tests from there."
fi
rm -rf "$copy" && mkdir "$copy" && touch "$copy/.bench_test_copy"
git -c safe.directory='*' -C "$repo" ls-files -co --exclude-standard -z |
	tar -C "$repo" --null -T - --ignore-failed-read -c | tar -C "$copy" -x || die "the checkout could not be copied."
"$python" -m pip install -q -e "$copy" || die "the app does not install into the bench."
for package in $("$python" -c 'import sys
try: import tomllib
except ImportError: import tomli as tomllib
print(*tomllib.load(open(sys.argv[1], "rb"))["tool"]["bench"]["dev-dependencies"])' "$bench/apps/frappe/pyproject.toml" 2>/dev/null); do
	case $package in hypothesis | responses | freezegun) "$python" -c "import $package" 2>/dev/null || "$python" -m pip install -q "$package" ;; esac
done
# Judges of our output, which only tests ask, where they fit: nothing that the bench has may get another version.
"$python" -m pip list --format=freeze --exclude-editable 2>/dev/null | grep '==' >"$logs/pins"
for wanted in $(sed -nE 's/^((satcfdi|panama-ruc-dv-calculator|openapi-schema-validator)[^ ]*).*/\1/p' "$repo/requirements-dev.txt"); do
	"$python" -m pip install -q -c "$logs/pins" "$wanted" >"$logs/judge" 2>&1 ||
		echo "Left out, its tests skip: $wanted. $(grep -m 1 '^ERROR' "$logs/judge")"
done
grep -qx fiscal_integration sites/apps.txt || { sed -i -e '$a\' sites/apps.txt; echo fiscal_integration >>sites/apps.txt; }
"$python" -m pip check || die "pip check finds conflicts in the bench."

say "A fresh site, $site"
dump=sites/.fiscal_erpnext_$("$python" -c 'import frappe, erpnext; print(frappe.__version__, erpnext.__version__, sep="_")').sql.gz
if [ -s "$dump" ]; then
	bench_command new-site "$site" --force --db-root-password "$password" --admin-password admin --source-sql "$PWD/$dump" >"$logs/site" 2>&1 || { tail -20 "$logs/site"; die "the site could not be made."; }
else
	bench_command new-site "$site" --force --db-root-password "$password" --admin-password admin --install-app erpnext >"$logs/site" 2>&1 || { tail -20 "$logs/site"; die "the site could not be made."; }
	# ERPNext alone takes the longest; the next run starts from here.
	name=$("$python" -c "import json; print(json.load(open('sites/$site/site_config.json'))['db_name'])")
	mysqldump -uroot -p"$password" "$name" 2>/dev/null | gzip >"$dump"
fi
bench_command --site "$site" set-config -p allow_tests True
bench_command --site "$site" set-config -p fiscal_allow_loopback 1
bench_command --site "$site" set-config host_name "http://$site"

say "Install, migrate, uninstall, install"
cycle() { bench_command --site "$site" "$@" >"$logs/cycle" 2>&1 || { tail -30 "$logs/cycle"; die "$1 failed."; }; }
cycle install-app fiscal_integration
cycle migrate
cycle uninstall-app fiscal_integration --yes --no-backup
left=$(mysql -N -uroot -p"$password" "$("$python" -c "import json; print(json.load(open('sites/$site/site_config.json'))['db_name'])")" 2>/dev/null <<'SQL'
select concat('Custom Field ', name) from `tabCustom Field` where module = 'Fiscal Integration' or fieldname like 'fiscal\_%'
union all select concat('DocType ', name) from tabDocType where module = 'Fiscal Integration'
union all select concat('Role ', name) from tabRole where name like 'Fiscal %'
union all select concat('Custom DocPerm ', name) from `tabCustom DocPerm` where role like 'Fiscal %'
union all select concat('Secret of ', doctype) from `__Auth` where doctype like 'Fiscal %'
union all select concat('Scheduled job ', method) from `tabScheduled Job Type` where method like 'fiscal\_integration%'
union all select concat('Workspace ', name) from tabWorkspace where module = 'Fiscal Integration'
union all select concat('Number Card ', name) from `tabNumber Card` where module = 'Fiscal Integration'
union all select concat('Dashboard Chart ', name) from `tabDashboard Chart` where module = 'Fiscal Integration'
union all select concat('Module Onboarding ', name) from `tabModule Onboarding` where module = 'Fiscal Integration'
union all select concat('Onboarding Step ', name) from `tabOnboarding Step` where name like 'Fiscal %'
union all select concat('Report ', name) from tabReport where module = 'Fiscal Integration'
union all select concat('Print Format ', name) from `tabPrint Format` where module = 'Fiscal Integration'
SQL
)
[ -z "$left" ] || die "uninstalling left behind: $left"
cycle install-app fiscal_integration
echo "uninstalling left nothing behind"

say "The suite"
# CI=1: without it Frappe 15 exits with 0 whatever failed, and Frappe 15 prints no tracebacks.
CI=1 bench_command --site "$site" run-tests --app fiscal_integration >"$logs/unit" 2>&1
unit=$?
# Every traceback: unittest draws a line of = before each.
[ "$unit" = 0 ] || { grep -qE '^={70}' "$logs/unit" && sed -nE '/^={70}/,$p' "$logs/unit" || tail -60 "$logs/unit"; } | grep -v '^$'
tests=$(grep -oE 'Ran [0-9]+ tests?' "$logs/unit" | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}')
bad=$(grep -E '^FAILED \(' "$logs/unit" | grep -oE '(failures|errors)=[0-9]+' | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}')
skipped=$(grep -oE 'skipped=[0-9]+' "$logs/unit" | grep -oE '[0-9]+' | awk '{n += $1} END {print n + 0}')
[ "$unit" = 0 ] || [ "$bad" -gt 0 ] || bad=1
# Frappe's runner passes over test files that it does not know how to name, and says nothing.
written=$(grep -rhE '^[[:space:]]+def test_' "$copy/fiscal_integration" --include='test_*.py' | wc -l)
[ "$tests" -ge "$written" ] || { echo "Only $tests of $written tests were run."; bad=$((bad + 1)); }
passed=$((tests - bad - skipped))
echo "on the bench: $passed passed, $bad failed, $skipped skipped"

say "The browser (${FISCAL_BROWSER:-all})"
# Settings, till, invoice, Fiscal tab, workspace: what Frappe's own screens change from version to version.
core=(desk.py pos.py tab.py workspace.py)
if [ "${FISCAL_BROWSER:-all}" = none ]; then
	echo "not asked for"
elif command -v chromium >/dev/null && command -v node >/dev/null; then
	bench_command build --app fiscal_integration >"$logs/build" 2>&1 || { tail -20 "$logs/build"; bad=$((bad + 1)); }
	tools=$HOME/.cache/fiscal_integration/playwright
	"$tools/bin/python" -c 'import playwright, pytest, requests, werkzeug, qrcode, PIL, lxml, signxml' 2>/dev/null ||
		{ "$python" -m venv "$tools" && "$tools/bin/python" -m pip install -q playwright pytest requests werkzeug qrcode Pillow "lxml>=5.2.1" "signxml>=4.0.4,<5"; } ||
		die "Playwright does not install."
	web=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	# PDFs fetch the letter head's pictures from the site's own address.
	bench_command --site "$site" set-config host_name "http://127.0.0.1:$web"
	bench_command --site "$site" serve --port "$web" --noreload >"$logs/web" 2>&1 & pids+=($!)
	# The long queue has its own: what Frappe indexes there after an installation would keep the tills waiting.
	bench_command worker --queue short,default >"$logs/worker" 2>&1 & pids+=($!)
	bench_command worker --queue long >"$logs/worker-long" 2>&1 & pids+=($!)
	for _ in $(seq 60); do (exec 3<>"/dev/tcp/127.0.0.1/$web") 2>/dev/null && break; sleep 0.5; done
	files=(fiscal_integration/browser)
	[ "${FISCAL_BROWSER:-all}" = all ] || files=("${core[@]/#/fiscal_integration/browser/browser_}")
	(cd "$copy" && FISCAL_SITE_URL="http://127.0.0.1:$web" FISCAL_SITE="$site" FISCAL_BENCH_PATH="$bench" PYTHONDONTWRITEBYTECODE=1 \
		timeout 1800 "$tools/bin/python" -m pytest --noconftest -rfE --durations=15 -p no:cacheprovider -o python_files='browser_*.py' "${files[@]}") >"$logs/browser" 2>&1
	browser=$?
	tail -60 "$logs/browser"
	line=$(grep -E '[0-9]+ (passed|failed|error|skipped)' "$logs/browser" | tail -n 1)
	number() { grep -oE "[0-9]+ $1" <<<"$line" | grep -oE '[0-9]+' | head -n 1; }
	passed=$((passed + $(number passed || echo 0)))
	failures=$(($(number failed || echo 0) + $(number 'errors?' || echo 0)))
	[ "$browser" = 0 ] || [ "$failures" -gt 0 ] || failures=1
	# What failed comes last, where whoever sees only the end of a long log finds it.
	[ "$failures" = 0 ] || {
		echo "-- web"; tail -15 "$logs/web"
		echo "-- worker"; tail -15 "$logs/worker"
		grep -E '^(FAILED|ERROR|E  ) ' "$logs/browser" | cut -c1-300 | tail -40
	}
	bad=$((bad + failures)) skipped=$((skipped + $(number skipped || echo 0)))
else
	echo "No chromium or no node here: the browser's tests were not run."
fi

echo
echo "On $versions: $passed passed, $bad failed, $skipped skipped, $((SECONDS / 60)) min"
echo "$passed passed, $bad failed, $skipped skipped"
[ "$bad" = 0 ]
