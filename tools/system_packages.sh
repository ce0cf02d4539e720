#!/bin/sh
# The system libraries that Qt and OpenGL need, and Xvfb for tests without a screen. On Debian and
# Ubuntu what is missing is installed (as root or with sudo); elsewhere it is only named.
set -eu

packages="python3-venv xvfb libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri libxkbcommon-x11-0
 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
 libxcb-shape0 libxcb-xinerama0 libdbus-1-3"

if ! command -v dpkg-query >/dev/null 2>&1; then
    [ "$(uname -s)" = Linux ] && echo "Not Debian: install Qt's X11 libraries and Xvfb yourself:" $packages
    exit 0
fi

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
# A Python that was not installed by Debian brings its own venv.
case "$missing" in
    " python3-venv") python3 -c 'import ensurepip' 2>/dev/null && missing="" ;;
esac
[ -z "$missing" ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "Please install as root:$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "Installing$missing"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
