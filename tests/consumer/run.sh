#!/usr/bin/env bash
# Builds and runs the consumer in one way: run.sh <way> <source tree> <build tree> <c++> <cmake> <generator>
set -euo pipefail
way=$1 source=$2 build=$3 cxx=$4 cmake=$5 generator=$6

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$source/tests/consumer/project/." "$folder"
cd "$folder"

# Installed to one place, then moved: the package must be relocatable.
install_tree() {
    "$cmake" --install "$build" --prefix "$folder/first" >/dev/null
    mv first prefix
}

build_with_cmake() {
    "$cmake" -S . -B build -G "$generator" -DCMAKE_CXX_COMPILER="$cxx" "$@"
    "$cmake" --build build
    ./build/consumer
    ./build/consumer_dispatch
}

case $way in
find_package)
    install_tree
    build_with_cmake -DCMAKE_PREFIX_PATH="$folder/prefix"
    ;;
add_subdirectory)
    build_with_cmake -DS3_SOURCE_DIR="$source"
    ;;
pkg_config)
    install_tree
    export PKG_CONFIG_PATH="$folder/prefix/share/pkgconfig"
    # shellcheck disable=SC2046
    "$cxx" -std=c++20 $(pkg-config --cflags s3) main.cpp -o consumer
    ./consumer
    ;;
*)
    echo "unknown way: $way" >&2
    exit 2
    ;;
esac
