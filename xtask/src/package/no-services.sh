#!/bin/sh
# no-services.sh COMMAND...: runs apt-get as root without starting the services
# of the packages it installs, now or after the next boot. Debian starts and
# enables them all, but a test of apmon must not leave a mail server running.
set -eu

policy=/usr/sbin/policy-rc.d
mark='# for as long as apmon installs what its tests need'
places=$(mktemp -d)
ours=

finish() {
    # Only our own file: another one has its reasons.
    [ -z "$ours" ] || rm -f "$policy"
    rm -rf "$places"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The names of enabled services, of systemd or of SysV init.
enabled() {
    for file in /etc/systemd/system/*.wants/*.service /etc/rc2.d/S[0-9][0-9]*; do
        case $file in
        *'*'*) ;; # no match
        *.service) basename "$file" .service ;;
        *) basename "$file" | cut -c 4- ;;
        esac
    done | sort -u
}

# With the mark, the file is ours, left by a run that was killed.
if [ ! -e "$policy" ] || grep -qxF "$mark" "$policy"; then
    ours=yes
    # 101: not allowed. Both invoke-rc.d and deb-systemd-invoke run this.
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
enabled >"$places/before"
status=0
"$@" || status=$?
enabled >"$places/after"
for service in $(comm -13 "$places/before" "$places/after"); do
    echo "== disabled at boot: $service"
    if command -v systemctl >/dev/null; then
        # It handles SysV scripts too.
        systemctl --quiet disable "$service" || true
    else
        update-rc.d "$service" disable || true
    fi
done
exit "$status"
