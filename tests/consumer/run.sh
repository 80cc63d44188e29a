#!/usr/bin/env bash
# Builds and runs the consumer in one way: run.sh <way> <source tree> <build tree> <c++> <cmake> <generator> <has s3::io> <has s3::runtime>
set -euo pipefail
way=$1 source=$2 build=$3 cxx=$4 cmake=$5 generator=$6 io=$7 runtime=$8

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
    "$cmake" -S . -B build -G "$generator" -DCMAKE_CXX_COMPILER="$cxx" \
        -DCONSUMER_IO="$io" -DCONSUMER_RUNTIME="$runtime" "$@"
    "$cmake" --build build
    ./build/consumer
    ./build/consumer_dispatch
    [ "$io" -eq 0 ] || ./build/consumer_io
    [ "$runtime" -eq 0 ] || ./build/consumer_runtime
    # Its exported library names ours, for its users to find.
    "$cmake" --install build --prefix "$folder/of_consumer" >/dev/null
    grep -q "s3::s3" of_consumer/share/cmake/wrapper/wrapper_targets.cmake
}

case $way in
find_package)
    install_tree
    build_with_cmake -DCMAKE_PREFIX_PATH="$folder/prefix"
    ;;
add_subdirectory)
    build_with_cmake -DS3_SOURCE_DIR="$source" -DS3_BUILD_RUNTIME="$runtime" \
        -DS3_RUNTIME_SETS=avx2 -DS3_RUNTIME_FORMATS=shift3 -DS3_RUNTIME_ACTIVATIONS=uint8_t
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
