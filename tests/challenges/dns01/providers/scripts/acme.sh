#!/usr/bin/env sh
# A stand-in for acme.sh with the functions that dns_bind.sh uses, built the same way: its settings lie in
# account.conf below LE_WORKING_DIR, and its last line runs what the arguments say, also when it is sourced.

_info() {
  printf '[%s] %s\n' "$(date)" "$1"
}

_err() {
  _info "$@" >&2
  return 1
}

_initpath() {
  ACCOUNT_CONF_PATH="$LE_WORKING_DIR/account.conf"
  if [ -f "$ACCOUNT_CONF_PATH" ]; then
    # shellcheck source=/dev/null
    . "$ACCOUNT_CONF_PATH"
  fi
}

#file key value
_save_conf() {
  printf "%s='%s'\n" "$2" "$3" >>"$1"
}

#file key
_read_conf() {
  sed -n "s/^$2='\(.*\)'\$/\1/p" "$1" | tail -n 1
}

_saveaccountconf_mutable() {
  _save_conf "$ACCOUNT_CONF_PATH" "SAVED_$1" "$2"
}

_readaccountconf_mutable() {
  _read_conf "$ACCOUNT_CONF_PATH" "SAVED_$1"
}

main() {
  [ -z "$1" ] && echo "Usage: acme.sh <command>" && return
  "$@"
}

main "$@"
