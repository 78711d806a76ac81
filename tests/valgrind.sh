# Sourced by what needs valgrind, Debian's package of that name: `need_valgrind` installs it where it is missing and
# can be had, and fails otherwise.

has_valgrind() { command -v valgrind >/dev/null && command -v vgdb >/dev/null; }

# The lists of packages may be old, or empty as in an image of a container.
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
