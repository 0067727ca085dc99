#!/bin/sh
# Calls a dnsapi file of acme.sh as acme.sh does:  acme_sh.sh ACME.SH DNSAPI-FILE add|rm NAME VALUE
# Run by the provider `script`, convention acme.sh; the functions that such files need are acme.sh's own.
acme_sh=$1 api=$2 act=$3 name=$4 value=$5
hook=${api##*/}
hook=${hook%.sh}

# Sourced, acme.sh runs what the arguments say: nothing.
set -- :
# shellcheck source=/dev/null
. "$acme_sh" || exit 1
# Its settings, and the credentials that it saved when it was used for this DNS service.
if command -v _initpath >/dev/null; then _initpath; fi
# What it would write down now: credentials that have their place in renewer's configuration.
_save_conf() { :; }
_clear_conf() { :; }

# shellcheck source=/dev/null
. "$api" || exit 1
if ! command -v "${hook}_$act" >/dev/null; then
    echo "error: $api has no function ${hook}_$act" >&2
    exit 1
fi
"${hook}_$act" "$name" "$value"
