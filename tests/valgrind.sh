# Sourced by scripts that need valgrind (Debian's package of that name): `need_valgrind` installs it if it is missing,
# and fails if that is not possible.

has_valgrind() { command -v valgrind >/dev/null && command -v vgdb >/dev/null; }

# The package lists may be out of date, or empty as in a container image.
install_valgrind() {
    command -v apt-get >/dev/null || return 1
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || return 1
        as_root=(sudo)
    fi
    echo "valgrind is not installed: installing it with apt-get" >&2
    local install=("${as_root[@]}" apt-get install --yes -qq --no-install-recommends valgrind)
    "${install[@]}" >&2 || { "${as_root[@]}" apt-get update -qq >&2 && "${install[@]}" >&2; }
}

need_valgrind() {
    has_valgrind || { install_valgrind && has_valgrind; } || {
        echo "expected valgrind, found none, and it cannot be installed here" >&2
        echo "install it (on Debian: apt-get install valgrind), then run $0 again" >&2
        return 1
    }
}
