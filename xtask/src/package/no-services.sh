#!/bin/sh
# no-services.sh COMMAND...: runs apt-get as root, such that no service of a
# package that it installs runs, now or after the next boot. Debian starts and
# enables them all; but whoever tests apmon asked for no mail server.
set -eu

policy=/usr/sbin/policy-rc.d
mark='# for as long as apmon installs what its tests need'
places=$(mktemp -d)
ours=

finish() {
    # Only our own: somebody else's says what it says for a reason.
    [ -z "$ours" ] || rm -f "$policy"
    rm -rf "$places"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The names of what boots, by systemd or as of old.
enabled() {
    for file in /etc/systemd/system/*.wants/*.service /etc/rc2.d/S[0-9][0-9]*; do
        case $file in
        *'*'*) ;; # there is none
        *.service) basename "$file" .service ;;
        *) basename "$file" | cut -c 4- ;;
        esac
    done | sort -u
}

# The mark: ours, left by a run that was killed.
if [ ! -e "$policy" ] || grep -qxF "$mark" "$policy"; then
    ours=yes
    # 101: not allowed. Both invoke-rc.d and deb-systemd-invoke ask here.
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
enabled >"$places/before"
status=0
"$@" || status=$?
enabled >"$places/after"
for service in $(comm -13 "$places/before" "$places/after"); do
    echo "== not at boot either: $service"
    if command -v systemctl >/dev/null; then
        # It knows of the old way, too.
        systemctl --quiet disable "$service" || true
    else
        update-rc.d "$service" disable || true
    fi
done
exit "$status"
