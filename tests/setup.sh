#!/bin/bash
# Sets up what `make demo`, `make check`, `make test` and `make bench` need, and only what is missing.
#
#   tests/setup.sh demo|check|test|bench
#
# On the machine:   nginx, Python's venv, and for the tests make, shellcheck, systemd-analyze, BIND, nsupdate, Knot,
#                   PowerDNS, bindfs, nginx's stream module, and the servers that the shipped hooks are for, and the
#                   clients that people move from (certbot, lego, dehydrated, uacme); by apt, as root, with every
#                   service kept from starting. Nothing is removed, no apt source is changed.
#                   The user Debian-exim, whom exim asks for.
# In this checkout: .venv (the package, editable), .venv/pebble and .venv/acme2certifier (authorities for tests),
#                   .venv/servers (exim, opensmtpd: apt has room for one mail server only, and that is postfix),
#                   .venv/certbot and .venv/lego (the newest, which people move from),
#                   .venv/docker and .venv/cockpit (programs of Docker and Cockpit, for the hooks),
#                   .venv/debian (fresh Debian 12 and 13 to install the package in, and the wheels that it is made of),
#                   .venv/axe-core (what finds barriers in a page, for the page's tests; by npm),
#                   .bench (what to compare with: certbot, acme-tiny, lego). `make clean` takes these away again.
#
# Run again it does nothing, in a fraction of a second, and then needs neither root nor a network.
set -euo pipefail

mode=${1:-}
case $mode in
demo | check | test | bench) ;;
*)
    echo "usage: tests/setup.sh demo|check|test|bench" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
root=$PWD
venv=$root/.venv
pebble_dir=$venv/pebble
# The first with renewalInfo and profiles is 2.7; the tests are written against what 2.10 says and does.
pebble_wanted=2.10
policy=/usr/sbin/policy-rc.d
policy_before=$policy.before-renewer-setup
policy_mark="# of renewer's tests/setup.sh, for the moment of an installation only"
work=
debians=()
policy_ours=no

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '       %s\n' "$@" >&2; fi
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# nginx and its like lie in sbin, which a user's PATH often lacks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null | tr -d \"\' || true)
export PATH LC_ALL=C DEBIAN_FRONTEND=noninteractive

restore_policy() {
    if [ -f "$policy" ] && grep -qsF -- "$policy_mark" "$policy"; then rm -f -- "$policy"; fi
    if [ -e "$policy_before" ] || [ -L "$policy_before" ]; then mv -f -- "$policy_before" "$policy"; fi
    policy_ours=no
}
clean_up() {
    status=$?
    trap - EXIT
    if [ "$policy_ours" = yes ]; then restore_policy; fi
    for one in "${debians[@]}"; do
        if kill "${one#*:}" 2>/dev/null; then wait "${one#*:}" 2>/dev/null || true; fi
    done
    for one in "$work"/debian/*; do
        if [ -d "$one" ]; then umount --recursive --lazy "$one" 2>/dev/null || true; fi
    done
    if [ -n "$work" ]; then rm -rf --one-file-system -- "$work"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# One set-up at a time in a checkout: the lock is on this very file, so nothing is left lying about.
exec 9<"$root/tests/setup.sh"
flock 9

# A set-up that was killed with -9 in the middle of an installation could not tidy; now is the time. Not while
# another checkout's is installing (it holds the lock).
if [ "$(id -u)" = 0 ] && grep -qsF -- "$policy_mark" "$policy"; then
    if flock -n 8; then restore_policy; fi 8</var/cache/apt
fi

# --- packages of the machine -------------------------------------------------------------------------------

python_fits() {
    have python3 && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}
venv_fits() { [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null; }

missing=()
if ! venv_fits; then
    if have python3 && ! python_fits; then
        die "python3 is $(python3 --version 2>&1 | cut -d' ' -f2); renewer needs 3.11 or later." \
            "Put a later python3 first in PATH and try again."
    fi
    if ! python_fits || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=(python3 python3-venv)
    fi
fi
if [ "$mode" != check ]; then have nginx || missing+=(nginx); fi
if [ "$mode" = bench ]; then have openssl || missing+=(openssl); fi
if [ "$mode" = test ]; then
    have make || missing+=(make)
    have shellcheck || missing+=(shellcheck)
    have systemd-analyze || missing+=(systemd)
    have named || missing+=(bind9)
    have knotd || missing+=(knot)
    have nsupdate || missing+=(bind9-dnsutils)
    have pdns_server || missing+=(pdns-server)
    have haproxy || missing+=(haproxy)
    have apache2 || missing+=(apache2-bin)
    have caddy || missing+=(caddy)
    have lighttpd || missing+=(lighttpd)
    [ -f /usr/lib/lighttpd/mod_openssl.so ] || missing+=(lighttpd-mod-openssl)
    have postfix || missing+=(postfix)
    have dovecot || missing+=(dovecot-imapd)
    [ -f /usr/lib/dovecot/pop3 ] || missing+=(dovecot-pop3d)
    [ -f /usr/lib/dovecot/managesieve ] || missing+=(dovecot-managesieved)
    have mariadbd || missing+=(mariadb-server)
    have mariadb || missing+=(mariadb-client)
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
    have redis-server || missing+=(redis-server)
    have prosody || missing+=(prosody)
    have unbound || missing+=(unbound)
    have vsftpd || missing+=(vsftpd)
    have sudo || missing+=(sudo)
    have keytool || missing+=(openjdk-17-jre-headless)
    [ -d /usr/share/tomcat10 ] || missing+=(tomcat10)
    have bindfs || missing+=(bindfs)
    have fail2ban-regex || missing+=(fail2ban)
    have slapd || missing+=(slapd)
    have sshd || missing+=(openssh-server)
    have kubectl || missing+=(kubernetes-client)
    have certbot || missing+=(certbot)
    have lego || missing+=(lego)
    have dehydrated || missing+=(dehydrated)
    have uacme || missing+=(uacme)
    have openssl || missing+=(openssl)
    have curl || missing+=(curl)
    have wrk || missing+=(wrk)
    have promtool || missing+=(prometheus)
    have chromium || missing+=(chromium)
    have npm || missing+=(npm)
    have debootstrap || missing+=(debootstrap)
    have mandoc || missing+=(mandoc)
    have zsh || missing+=(zsh)
    have fish || missing+=(fish)
    have ansible-playbook || missing+=(ansible-core)
    [ -f /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
    [ -f /usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql ] || missing+=(pdns-backend-sqlite3)
fi

install_packages() {
    if ! have apt-get || ! have dpkg; then
        die "missing on this machine: $*" \
            "They are installed by apt, and this machine has none (Debian 12 or later, or a child of it, has)." \
            "Install them by your own means and try again."
    fi
    if [ "$(id -u)" != 0 ]; then
        die "missing on this machine: $*" \
            "Installing them needs root. Either run this as root, or first:  sudo apt-get install $*" \
            "and keep their services from starting, if that matters to you."
    fi

    log=$work/apt.log
    # Others may be installing too: wait for them, both for ours (flock) and for apt's own lock.
    exec 8</var/cache/apt
    flock 8
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
        say "reading the package lists (apt-get update)"
        apt_update
    fi
    if ! apt_install "$@"; then
        # The lists may name versions that the mirror no longer carries.
        say "reading the package lists again (apt-get update)"
        apt_update
        apt_install "$@" || {
            tail -n 15 "$log" >&2
            die "apt-get could not install: $*"
        }
    fi
    exec 8<&-
}
apt_update() {
    # A foreign source that does not answer is not our business: the installation shows whether it matters.
    apt-get -o DPkg::Lock::Timeout=300 -qq update >>"$log" 2>&1 || true
}
apt_install() {
    say "installing $* (apt-get; services stay stopped)"
    if [ -e "$policy" ] || [ -L "$policy" ]; then mv -f -- "$policy" "$policy_before"; fi
    policy_ours=yes
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
    chmod 0755 "$policy"
    installed=yes
    apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq -y --no-install-recommends install "$@" \
        >>"$log" 2>&1 </dev/null || installed=no
    restore_policy
    [ "$installed" = yes ]
}

work=$(mktemp -d "${TMPDIR:-/tmp}/renewer-setup.XXXXXX")
if [ ${#missing[@]} -gt 0 ]; then
    install_packages "${missing[@]}"
    for package in "${missing[@]}"; do
        case $package in
        bind9) service=named ;;
        nginx | knot | haproxy | caddy | lighttpd | prometheus | postfix | redis-server | prosody | unbound | vsftpd | \
            tomcat10 | slapd) service=$package ;;
        dovecot-imapd) service=dovecot ;;
        mariadb-server) service=mariadb ;;
        postgresql) service=postgresql ;;
        openssh-server) service=ssh ;;
        pdns-server) service=pdns ;;
        *) continue ;;
        esac
        # Debian also enables what it installs: without this the next boot would start it.
        if have systemctl; then systemctl disable "$service.service" >/dev/null 2>&1 || true; fi
    done
fi

# --- the virtual environment -------------------------------------------------------------------------------

if ! venv_fits; then
    say "making .venv with $(python3 --version 2>&1)"
    python3 -m venv "$venv" >"$work/venv.log" 2>&1 || {
        tail -n 15 "$work/venv.log" >&2
        die "python3 could not make a virtual environment in $venv"
    }
fi

# The stamp is what was installed from: the project file and the interpreter. A moved checkout counts too,
# for an editable installation points at its place.
stamp=$({
    sha256sum <pyproject.toml
    "$venv/bin/python" -c 'import sys; print(sys.version)'
    printf '%s\n' "$root"
} | sha256sum | cut -d' ' -f1)
stamped() { [ -f "$venv/.installed-$1" ] && [ "$(cat "$venv/.installed-$1")" = "$stamp" ]; }
install_project() { # what, requirement
    say "installing $2 into .venv (pip)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --editable "$2" \
        >"$work/pip.log" 2>&1 || {
        tail -n 15 "$work/pip.log" >&2
        die "pip could not install the project into .venv (its last lines stand above)"
    }
    printf '%s\n' "$stamp" >"$venv/.installed-$1"
}
case $mode in
check | test) stamped dev || install_project dev '.[dev,lexicon]' ;;
*) stamped package || stamped dev || install_project package . ;;
esac
if [ "$mode" = check ]; then exit 0; fi # it starts no server

# --- Pebble, the test authority ----------------------------------------------------------------------------

pebble_version() { cat "$pebble_dir/VERSION" 2>/dev/null || true; }
pebble_fits() {
    [ -x "$pebble_dir/pebble" ] && [ -x "$pebble_dir/pebble-challtestsrv" ] && [ -n "$(pebble_version)" ]
}
pebble_recent() {
    pebble_fits && dpkg --compare-versions "$(pebble_version)" ge "$pebble_wanted"
}

# Prints URI and keyring of each of the machine's own sources for its own release, both in the one-line and in
# the deb822 style; the archive's own keyring first, so that foreign sources come last.
machine_sources() {
    {
        { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | awk -v codename="$codename" '
            $1 != "deb" { next }
            {
                keyring = ""; i = 2
                if ($i ~ /^\[/) {
                    for (; i <= NF; i++) {
                        option = $i; gsub(/^\[|\]$/, "", option)
                        if (option ~ /^signed-by=/) keyring = substr(option, 11)
                        if ($i ~ /\]$/) { i++; break }
                    }
                }
                for (n = i + 2; n <= NF; n++) if ($(i + 1) == codename && $n == "main") print $i, keyring
            }'
        for file in /etc/apt/sources.list.d/*.sources; do
            if [ -f "$file" ]; then cat "$file" && echo; fi
        done | awk -v codename="$codename" '
            function flush() {
                if (types ~ / deb / && suites ~ (" " codename " ") && components ~ / main / && enabled != "no") {
                    count = split(uris, uri, " ")
                    for (n = 1; n <= count; n++) print uri[n], keyring
                }
                types = uris = suites = components = keyring = enabled = field = ""
            }
            /^#/ { next }
            /^[[:space:]]*$/ { flush(); next }
            /^[^[:space:]]/ { field = tolower($1); sub(/:.*/, "", field); sub(/^[^:]*:/, "") }
            { value = $0; gsub(/^[[:space:]]+|[[:space:]]+$/, "", value) }
            value ~ /BEGIN PGP/ { field = "" }   # a key in place: the archive keyring of apt is tried instead
            field == "types" { types = types " " value " " }
            field == "uris" { uris = uris " " value " " }
            field == "suites" { suites = suites " " value " " }
            field == "components" { components = components " " value " " }
            field == "enabled" { enabled = tolower(value) }
            field == "signed-by" && value ~ /^\// { keyring = value }
            END { flush() }'
    } | awk '/debian-archive/ { print 0, $0; next } { print 1, $0 }' | sort -s -k1,1n | cut -d' ' -f2- |
        awk '$1 !~ /^cdrom:/ && !seen[$0]++'
}

# fetch PACKAGE URI KEYRING SUITE: into $work/PACKAGE.deb, without touching the machine's sources, lists or cache.
fetch() {
    rm -rf -- "$work/apt"
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    printf 'deb %s%s %s main\n' "${3:+[signed-by=$3] }" "$2" "$4" >"$work/apt/sources.list"
    options=(
        -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache"
        -o APT::Sandbox::User="$(id -un)" -o APT::Default-Release= -o Acquire::Languages=none -qq
    )
    (
        cd "$work/apt"
        apt-get "${options[@]}" update && apt-get "${options[@]}" download "$1"
    ) >>"$work/fetch.log" 2>&1 </dev/null || return 1
    mv -- "$work/apt/$1"_*.deb "$work/$1.deb" 2>>"$work/fetch.log"
}
unpack_pebble() {
    rm -rf -- "$work/unpacked" "$work/pebble"
    dpkg-deb -x "$work/pebble.deb" "$work/unpacked" && mkdir "$work/pebble" || return 1
    cp "$work/unpacked/usr/bin/pebble" "$work/unpacked/usr/bin/pebble-challtestsrv" "$work/pebble/" || return 1
    # A release too new for this machine's C library would only fail later, with a puzzling message.
    "$work/pebble/pebble" -h >>"$work/fetch.log" 2>&1 || return 1
    dpkg-deb -f "$work/pebble.deb" Version >"$work/pebble/VERSION"
    rm -rf -- "$pebble_dir"
    mv -- "$work/pebble" "$pebble_dir"
}
unpack_lego() {
    if [ "$mode" = test ]; then
        unpack_programs lego lego usr/bin/lego && "$venv/lego/lego" --version >>"$work/fetch.log" 2>&1
        return
    fi
    rm -rf -- "$work/unpacked" "$work/lego"
    dpkg-deb -x "$work/lego.deb" "$work/unpacked" && mkdir "$work/lego" || return 1
    cp "$work/unpacked/usr/bin/lego" "$work/lego/" || return 1
    "$work/lego/lego" --version >>"$work/fetch.log" 2>&1 || return 1
    dpkg-deb -f "$work/lego.deb" Version >"$work/lego/VERSION"
    rm -rf -- .bench/lego
    mkdir -p .bench
    mv -- "$work/lego" .bench/lego
}
# Single programs of packages that would bring whole services: Docker's client, Cockpit's choice of a certificate.
unpack_programs() { # package, name below .venv, programs in it
    rm -rf -- "$work/unpacked" "$work/programs"
    dpkg-deb -x "$work/$1.deb" "$work/unpacked" && mkdir "$work/programs" || return 1
    for program in "${@:3}"; do cp "$work/unpacked/$program" "$work/programs/" || return 1; done
    dpkg-deb -f "$work/$1.deb" Version >"$work/programs/VERSION"
    rm -rf -- "${venv:?}/$2"
    mv -- "$work/programs" "$venv/$2"
}
unpack_docker.io() { unpack_programs docker.io docker usr/bin/docker; }
unpack_docker-cli() { unpack_programs docker-cli docker usr/bin/docker; }
unpack_cockpit-ws() { unpack_programs cockpit-ws cockpit usr/lib/cockpit/cockpit-certificate-ensure; }
# Debian 12's opensmtpd cannot sign with OpenSSL 3. A later one comes with the libraries that it needs, down to
# the C library, for a root of its own.
unpack_opensmtpd() {
    rm -rf -- "$work/unpacked"
    mv -- "$work/opensmtpd.deb" "$work/apt/" && unpacked=" " && left=(opensmtpd) || return 1
    while [ ${#left[@]} -gt 0 ]; do
        next=${left[0]}
        left=("${left[@]:1}")
        case $unpacked in *" $next "*) continue ;; esac
        if [ "$next" != opensmtpd ]; then
            (cd "$work/apt" && apt-get "${options[@]}" download "$next") >>"$work/fetch.log" 2>&1 || return 1
            mv -- "$work/apt/$next"_*.deb "$work/apt/$next.deb" || return 1
        fi
        dpkg-deb -x "$work/apt/$next.deb" "$work/unpacked" || return 1
        unpacked+="$next "
        while read -r more; do left+=("$more"); done < <(dpkg-deb -f "$work/apt/$next.deb" Pre-Depends Depends |
            sed 's/^[A-Za-z-]*: //' | tr ',' '\n' | sed -n 's/^ *\(lib[^ ]*\|zlib[^ ]*\).*/\1/p')
    done
    rm -rf -- "$work/unpacked/usr/share" "$work/unpacked/usr/lib/systemd" "$work/unpacked"/usr/lib/*/gconv
    dpkg-deb -f "$work/apt/opensmtpd.deb" Version >"$work/unpacked/VERSION"
    rm -rf -- "$venv/servers/opensmtpd"
    mkdir -p "$venv/servers"
    mv -- "$work/unpacked" "$venv/servers/opensmtpd"
}
# get PACKAGE SUITE…: from the first suite that has one which runs here.
get() {
    have apt-get && have dpkg-deb || return 1
    package=$1
    shift
    sources=$(machine_sources)
    for suite in "$@"; do
        while read -r uri keyring; do
            [ -n "$uri" ] || continue
            if fetch "$package" "$uri" "$keyring" "$suite" && "unpack_$package"; then return 0; fi
        done <<<"$sources"
    done
    return 1
}

# debian RELEASE SUITE PACKAGES: a fresh system with these in .venv/debian/RELEASE, from where this machine has its own. It is
# made in memory, where dpkg's flushing costs nothing, and in the background.
debian() {
    tree=$venv/debian/$1
    made=$work/debian/$1
    mkdir -p "$made" "$venv/debian"
    rm -rf -- "$tree" "$tree.stamp"
    mount -t tmpfs -o mode=0755 tmpfs "$made" || return 1
    good=no
    while read -r uri keyring; do
        if debootstrap --variant=minbase --include="$3" ${keyring:+--keyring="$keyring"} "$2" "$made/tree" "$uri"; then
            good=yes
            break
        fi
        rm -rf -- "$made/tree"
    done < <(machine_sources)
    if [ "$good" = yes ]; then
        rm -rf -- "$made"/tree/var/cache/apt/archives/*.deb "$made"/tree/usr/share/{doc,man,locale}/*
        cp -a -- "$made/tree" "$tree" && printf '%s\n' "$3" >"$tree.stamp" || good=no
    fi
    umount "$made"
    [ "$good" = yes ]
}
if [ "$mode" = test ]; then
    # the older one with a web server and cron: the four commands from nothing to a served certificate
    for one in "12 bookworm ca-certificates,python3,nginx,cron" "13 trixie ca-certificates,python3"; do
        read -r release suite holds <<<"$one"
        if [ "$(cat "$venv/debian/$release.stamp" 2>/dev/null)" = "$holds" ]; then continue; fi
        if [ "$(id -u)" != 0 ]; then
            die "a fresh Debian $release to try the package in is missing, and making it needs root:  sudo make setup"
        fi
        say "making a fresh Debian $release in .venv/debian/$release (debootstrap), beside what follows"
        debian "$release" "$suite" "$holds" >"$work/debian-$release.log" 2>&1 </dev/null &
        debians+=("$release:$!")
    done
    stamp=$(sha256sum packaging/requirements.txt | cut -d' ' -f1)
    if [ "$(cat "$venv/debian/wheels.stamp" 2>/dev/null)" != "$stamp" ]; then
        say "fetching what the Debian package is made of into .venv/debian/wheels (pip)"
        rm -rf -- "$venv/debian/wheels" "$venv/debian/pip"
        {
            "$venv/bin/python" packaging/deb.py fetch "$venv/debian/wheels" &&
                "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input download --no-deps \
                    --dest "$venv/debian/pip" pip # pipx brings its own up to date
        } >"$work/wheels.log" 2>&1 || {
            tail -n 15 "$work/wheels.log" >&2
            die "what packaging/requirements.txt locks could not be fetched (pip's last lines stand above)"
        }
        printf '%s\n' "$stamp" >"$venv/debian/wheels.stamp"
    fi
fi

if ! pebble_recent && { [ -n "${CI:-}" ] || ! pebble_fits || [ "$(id -u)" = 0 ]; }; then
    had=$(pebble_version)
    say "fetching Pebble $pebble_wanted or later (apt-get download)"
    get pebble forky testing sid || true
    if ! pebble_recent; then
        if [ -n "${CI:-}" ]; then
            tail -n 15 "$work/fetch.log" >&2 || true
            die "no Pebble $pebble_wanted or later to be had from the newer suites of this machine's package source." \
                "The tests in CI must run against one with renewalInfo and profiles (apt's last lines stand above)."
        fi
        # A developer's machine may make do with what its own release has.
        if ! pebble_fits; then get pebble "$codename" || true; fi
        if ! pebble_fits; then
            tail -n 15 "$work/fetch.log" >&2 2>/dev/null || true
            die "missing: Pebble, the test authority, in .venv/pebble (apt's last lines, if any, stand above)." \
                "It is fetched from this machine's own Debian package source; apt and a network are needed for it."
        fi
        say "***************************************************************************"
        say "* Only an old Pebble is to be had: $(pebble_version)."
        say "* It has no renewal information and no profiles: most tests will be skipped,"
        say "* and the demo cannot show a renewal."
        say "***************************************************************************"
    fi
    if [ "$(pebble_version)" != "$had" ]; then say "Pebble $(pebble_version) is in .venv/pebble"; fi
fi

if [ "$mode" = test ]; then
    if [ ! -f "$venv/docker/VERSION" ]; then
        say "fetching Docker's client into .venv/docker (apt-get download)"
        # From Debian 13 on it has a package of its own.
        get docker.io "$codename" || get docker-cli "$codename" || {
            tail -n 15 "$work/fetch.log" >&2
            die "Docker's client could not be fetched (apt's last lines stand above)"
        }
    fi
    if [ ! -f "$venv/lego/VERSION" ]; then
        say "fetching a later lego than this release's into .venv/lego, as a client that people come from (apt-get download)"
        get lego sid forky testing || {
            rm -rf -- "$venv/lego"
            tail -n 15 "$work/fetch.log" >&2
            die "no later lego is to be had from this machine's package source (apt's last lines stand above)"
        }
    fi
    if [ ! -f "$venv/cockpit/VERSION" ]; then
        say "fetching Cockpit's cockpit-certificate-ensure into .venv/cockpit (apt-get download)"
        get cockpit-ws "$codename" || {
            tail -n 15 "$work/fetch.log" >&2
            die "Cockpit's program could not be fetched (apt's last lines stand above)"
        }
    fi
fi

# --- what `make bench` compares with -----------------------------------------------------------------------

peer() { # name of the venv below .bench, what is installed, its command
    if [ -x ".bench/$1/bin/$3" ]; then return 0; fi
    say "installing $2 into .bench/$1, to compare with (pip)"
    rm -rf -- ".bench/$1"
    {
        python3 -m venv ".bench/$1" &&
            ".bench/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$2"
    } >"$work/peer.log" 2>&1 || {
        rm -rf -- ".bench/$1"
        tail -n 15 "$work/peer.log" >&2
        die "$2 could not be installed into .bench/$1"
    }
}
if [ "$mode" = bench ]; then
    peer certbot certbot certbot
    peer acme-tiny acme-tiny acme-tiny
    if [ ! -x .bench/lego/lego ]; then
        say "fetching lego, to compare with (apt-get download)"
        get lego forky testing sid "$codename" || say "no lego is to be had here; the benchmark goes on without it"
    fi
fi

# --- servers that cannot be installed beside those that are -------------------------------------------------

# lay_out PACKAGE: its files below .venv/servers/PACKAGE, because apt would remove another server for it; the
# libraries that it needs are installed.
lay_out() {
    say "fetching $1 (apt-get download; it is laid out in .venv/servers, not installed)"
    log=$work/fetch.log
    download() { (cd "$work" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1") >>"$log" 2>&1; }
    if ! download "$1"; then
        apt_update
        download "$1" || {
            tail -n 15 "$log" >&2
            die "apt-get could not download $1 (its last lines stand above)"
        }
    fi
    libraries=()
    for library in $(dpkg-deb -f "$work/$1"_*.deb Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ ]*\).*/\1/p'); do
        [ "$(dpkg-query -Wf '${db:Status-Status}' "$library" 2>/dev/null)" = installed ] || libraries+=("$library")
    done
    if [ ${#libraries[@]} -gt 0 ]; then install_packages "${libraries[@]}"; fi
    rm -rf -- "$venv/servers/$1"
    mkdir -p "$venv/servers"
    dpkg-deb -x "$work/$1"_*.deb "$work/laid-out" && mv -- "$work/laid-out" "$venv/servers/$1"
}
if [ "$mode" = test ]; then
    [ -x "$venv/servers/exim4-daemon-light/usr/sbin/exim4" ] || lay_out exim4-daemon-light
    if [ ! -f "$venv/servers/opensmtpd/VERSION" ]; then
        say "fetching opensmtpd (apt-get download; it is laid out in .venv/servers, not installed)"
        get opensmtpd trixie forky testing sid || {
            tail -n 15 "$work/fetch.log" >&2 || true
            die "no opensmtpd of a later release to be had from this machine's package source (see above)"
        }
    fi
    # exim knows its user by name, as it was built, and will not start without.
    if ! getent passwd Debian-exim >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir /var/spool/exim4 --shell /usr/sbin/nologin \
            Debian-exim 2>"$work/user.log" || die "exim's user is missing on this machine, and adding it needs root:" \
            "sudo useradd --system --user-group --shell /usr/sbin/nologin Debian-exim"
    fi
fi

# --- acme2certifier, a second authority --------------------------------------------------------------------

# Under the GPL, so it is a program of its own in an environment of its own: the tests talk to it, none imports it.
second_dir=$venv/acme2certifier
second_wanted=0.46.3
if [ "$mode" = test ] && [ "$(cat "$second_dir/VERSION" 2>/dev/null)" != "$second_wanted" ]; then
    say "installing acme2certifier $second_wanted into .venv/acme2certifier, as a second authority (pip)"
    rm -rf -- "$second_dir"
    {
        python3 -m venv "$second_dir" &&
            "$second_dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
                "acme2certifier==$second_wanted" gunicorn
    } >"$work/second.log" 2>&1 || {
        tail -n 15 "$work/second.log" >&2
        die "acme2certifier could not be installed into .venv/acme2certifier (pip's last lines stand above)"
    }
    printf '%s\n' "$second_wanted" >"$second_dir/VERSION"
fi

# --- certbot as PyPI has it, beside Debian's ---------------------------------------------------------------

# What people move from: the newest, with the plugins whose state has to be read.
certbot_dir=$venv/certbot
certbot_wanted=5.8.0
if [ "$mode" = test ] && [ "$(cat "$certbot_dir/VERSION" 2>/dev/null)" != "$certbot_wanted" ]; then
    say "installing certbot $certbot_wanted into .venv/certbot, as a client that people come from (pip)"
    rm -rf -- "$certbot_dir"
    {
        python3 -m venv "$certbot_dir" &&
            "$certbot_dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
                "certbot==$certbot_wanted" "certbot-nginx==$certbot_wanted" "certbot-dns-rfc2136==$certbot_wanted"
    } >"$work/certbot.log" 2>&1 || {
        tail -n 15 "$work/certbot.log" >&2
        die "certbot could not be installed into .venv/certbot (pip's last lines stand above)"
    }
    printf '%s\n' "$certbot_wanted" >"$certbot_dir/VERSION"
fi

# --- axe-core, which finds what keeps people out of a page -------------------------------------------------

# Under the MPL, so it is fetched for the tests and never shipped; one script, no package of its own is run.
axe_dir=$venv/axe-core
axe_wanted=4.11.1
if [ "$mode" = test ] && [ "$(cat "$axe_dir/VERSION" 2>/dev/null)" != "$axe_wanted" ]; then
    say "fetching axe-core $axe_wanted into .venv/axe-core (npm pack)"
    rm -rf -- "$axe_dir" "$work/axe"
    mkdir -p "$axe_dir" "$work/axe"
    {
        (cd "$work/axe" && npm pack --silent "axe-core@$axe_wanted") &&
            tar -xzf "$work/axe/axe-core-$axe_wanted.tgz" -C "$axe_dir" --strip-components=1 package/axe.min.js
    } >"$work/axe.log" 2>&1 || {
        tail -n 15 "$work/axe.log" >&2
        die "axe-core could not be fetched into .venv/axe-core (npm's last lines stand above)"
    }
    printf '%s\n' "$axe_wanted" >"$axe_dir/VERSION"
fi

for one in "${debians[@]}"; do
    wait "${one#*:}" || {
        tail -n 15 "$work/debian-${one%:*}.log" >&2
        die "a fresh Debian ${one%:*} could not be made (debootstrap's last lines stand above)"
    }
done

say "ready ($mode): Pebble $(pebble_version), $(nginx -v 2>&1 | sed 's|.*nginx/|nginx |')"
