#!/usr/bin/env bash
# Installs the Debian 12 packages that building, testing and running s3 needs, where they are
# missing. As root it installs at once, otherwise it asks first.
#
#   packaging/setup.sh [--brief] [package…]
#
# --brief is for the tests of the library alone: no libtorch, NumPy or what examples need. Packages are
# further ones.
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac

packages=(
    g++ cmake ninja-build pkg-config
    libxsimd-dev # all that the library itself needs
    doctest-dev binutils libeigen3-dev libtbb-dev nlohmann-json3-dev python3
)
if [ "${1:-}" = --brief ]; then
    shift
else
    packages+=(
        # hosts that the library is compared with
        libtorch-dev python3-numpy python3-torch python3-onnx python3-dev pybind11-dev
        # examples
        libcli11-dev zlib1g-dev libstb-dev dataset-fashion-mnist
    )
fi
packages+=("$@")

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "These packages are missing: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install their like by hand, then use CMake (see README.md)." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    answer=
    read -r -p "Install them with sudo apt-get? [y/N] " answer || true
    case $answer in
    y | Y | yes) ;;
    *)
        echo "Nothing was installed. To do it: sudo apt-get install ${missing[*]}" >&2
        exit 1
        ;;
    esac
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get -o Acquire::Retries=3 update
"${as_root[@]}" apt-get -o Acquire::Retries=3 install -y --no-install-recommends "${missing[@]}"
