#!/bin/sh
# The system libraries that Qt and OpenGL need, and Xvfb for tests without a screen. On Debian and
# Ubuntu what is missing is installed (as root or with sudo); elsewhere it is only named.
#
#   system_packages.sh         what the program and its fast tests need
#   system_packages.sh tests   and the servers and checkers of the slow tests, which are skipped
#                              without them: Orthanc (a PACS) and dicom3tools (dciodvfy)
set -eu

libraries="python3-venv xvfb libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri libxkbcommon-x11-0
 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
 libxcb-shape0 libxcb-xinerama0 libdbus-1-3"
servers="orthanc orthanc-dicomweb dicom3tools"

if ! command -v dpkg-query >/dev/null 2>&1; then
    [ "$(uname -s)" = Linux ] && echo "Not Debian: install Qt's X11 libraries and Xvfb yourself:" $libraries
    exit 0
fi

missing_of() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || printf ' %s' "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "Please install as root: $*" >&2
        return 1
    fi
    echo "Installing $*"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Debian starts a server that it installs. The tests start their own, so none is left running here:
# a policy forbids the start, and the service is not started at the next boot either.
install_servers() {
    policy=/usr/sbin/policy-rc.d
    ours=""
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod +x "$policy"
    fi
    done=0
    apt_install "$@" || done=1
    [ -z "$ours" ] || as_root rm -f "$policy"
    case " $* " in
        *" orthanc "*) as_root update-rc.d orthanc disable >/dev/null 2>&1 || true ;;
    esac
    return $done
}

missing="$(missing_of $libraries)"
# A Python that was not installed by Debian brings its own venv.
if [ "$missing" = " python3-venv" ] && python3 -c 'import ensurepip' 2>/dev/null; then
    missing=""
fi
[ -z "$missing" ] || apt_install $missing

if [ "${1:-}" = tests ]; then
    missing="$(missing_of $servers)"
    [ -z "$missing" ] || install_servers $missing ||
        echo "Without$missing some of the slow tests are skipped." >&2
fi
