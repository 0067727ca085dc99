#!/usr/bin/env sh
# A dnsapi file in the manner of acme.sh: sourced beside its functions, settings from its account.conf.

#Usage: dns_bind_add _acme-challenge.www.example.org "value"
dns_bind_add() {
  _bind_change "add $1. 60" "$2"
}

#Usage: dns_bind_rm _acme-challenge.www.example.org "value"
dns_bind_rm() {
  _bind_change "delete $1." "$2"
}

_bind_change() {
  BIND_Server="${BIND_Server:-$(_readaccountconf_mutable BIND_Server)}"
  if [ -z "$BIND_Server" ] || [ ! -r "$NSUPDATE_KEY" ]; then
    _err "You need to set BIND_Server and NSUPDATE_KEY."
    return 1
  fi
  _saveaccountconf_mutable BIND_Server "$BIND_Server"
  _info "update $1"
  printf 'server %s\nupdate %s TXT "%s"\nsend\n' "$BIND_Server" "$1" "$2" | nsupdate -k "$NSUPDATE_KEY"
}
