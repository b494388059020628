# Sourced by the other scripts: `prepare EXTRA` makes .venv and installs the project into it,
# once per change of pyproject.toml. PYTHON chooses the interpreter, VENV another folder.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=${VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac

say() { echo "lipstream: $*" >&2; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else
        set -- python3 python3.13 python3.12 python3.11
    fi
    for python; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    say "needs Python 3.11 or newer; none of these is: $*"
    say "install one, or name it: PYTHON=/path/to/python3 $0"
    exit 1
}

make_venv() {
    find_python
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "$python cannot make virtual environments: its venv module is missing."
        say "On Debian and Ubuntu: apt install python3-venv"
        exit 1
    fi
    say "making $venv with $("$python" --version 2>&1)"
    "$python" -m venv --clear "$venv"
}

prepare() {
    # The path is part of the stamp: a virtual environment does not survive being moved.
    stamp="$venv $(cksum <"$root/pyproject.toml")"
    for installed in dev "$1"; do
        [ "$(cat "$venv/.installed-$installed" 2>/dev/null)" = "$stamp" ] && return
    done
    case $(cat "$venv/.made" 2>/dev/null) in
    "$venv") "$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv ;;
    *) make_venv ;;
    esac
    echo "$venv" >"$venv/.made"
    say "installing into $venv ($1)"
    case $1 in
    run) what=$root ;;
    *) what="$root[$1]" ;;
    esac
    if ! "$venv/bin/python" -m pip install -qq --disable-pip-version-check -e "$what"; then
        say "the installation failed; pip's own words are above."
        exit 1
    fi
    for installed in run "$1"; do
        echo "$stamp" >"$venv/.installed-$installed"
    done
}
