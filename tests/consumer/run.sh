#!/usr/bin/env bash
# Builds and runs the consumer in one way of getting the library.
#
#   run.sh <way> <source tree> <build tree> [<c++> <cmake> <generator> <has s3::io> <has s3::runtime>]
#
# The build tree is configured, for what it would install. The exit status is 77, behind a line that
# says why, where a way cannot be tried on this machine. S3_CPM names CPM.cmake for the way `cpm`.
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
way=$1 source=$2 build=$3
cxx=${4:-g++} cmake=${5:-cmake} generator=${6:-Ninja} io=${7:-0} runtime=${8:-0}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$source/tests/consumer/project/." "$folder"
cd "$folder"

not_tried() {
    echo "$1"
    exit 77
}

# Installed to one place, then moved: the package must be relocatable.
install_tree() {
    "$cmake" --install "$build" --prefix "$folder/first" >/dev/null
    mv first prefix
}

# A release as a file, of what the tree holds now.
archive() {
    tar -czf s3.tar.gz --transform 's,^\.,s3,' --exclude=./build --exclude=./.git -C "$source" .
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

build_plainly() { # flags
    "$cxx" -std=c++20 "$@" main.cpp -o consumer
    ./consumer
}

# The version that a package of another system states must be the header's.
version() {
    sed -nE 's/^#define S3_VERSION_[A-Z]+ ([0-9]+)$/\1/p' "$source/include/s3/version.hpp" | paste -sd.
}

# Packages hold the networks of all instruction sets and formats, which compile for a quarter of an
# hour; here they have what the sample network needs.
few_networks() {
    export S3_NETWORK_SETS=${S3_NETWORK_SETS:-baseline}
    export S3_NETWORK_FORMATS=${S3_NETWORK_FORMATS:-shift3;int8_weights}
}

network=$source/examples/models/fashion_mnist.safetensors
runs_a_network() { # program
    "$1" --help | grep import
    head -c 784 /dev/zero >blank.raw
    "$1" run "$network" blank.raw | grep "image 0: class"
}

case $way in
find_package)
    install_tree
    build_with_cmake -DCMAKE_PREFIX_PATH="$folder/prefix"
    ;;
other_folders) # than those that GNU systems use
    "$cmake" -S "$source" -B others -G "$generator" -DCMAKE_CXX_COMPILER="$cxx" -DS3_BUILD_TESTS=OFF \
        -DS3_BUILD_EXAMPLES=OFF -DS3_BUILD_BENCHMARKS=OFF -DCMAKE_INSTALL_INCLUDEDIR=include/s3-x \
        -DCMAKE_INSTALL_DATADIR=lib/data >/dev/null
    build=others install_tree
    "$cmake" -S . -B build -G "$generator" -DCMAKE_CXX_COMPILER="$cxx" -DCONSUMER_IO=0 -DCONSUMER_RUNTIME=0 \
        -Ds3_DIR="$folder/prefix/lib/data/cmake/s3"
    "$cmake" --build build --target consumer
    ./build/consumer
    export PKG_CONFIG_PATH="$folder/prefix/lib/data/pkgconfig"
    [ -f "$(pkg-config --variable=includedir s3)/s3/shift.hpp" ]
    ;;
add_subdirectory)
    build_with_cmake -DS3_SOURCE_DIR="$source" -DS3_BUILD_RUNTIME="$runtime" \
        -DS3_RUNTIME_SETS=avx2 -DS3_RUNTIME_FORMATS=shift3 -DS3_RUNTIME_ACTIVATIONS=uint8_t
    ;;
fetch_content)
    archive
    runtime=0
    build_with_cmake -DS3_ARCHIVE="$folder/s3.tar.gz"
    ;;
cpm)
    [ -n "${S3_CPM:-}" ] || not_tried "CPM.cmake is not here: name one in S3_CPM"
    archive
    runtime=0
    build_with_cmake -DS3_ARCHIVE="$folder/s3.tar.gz" -DS3_CPM="$S3_CPM"
    ;;
pkg_config)
    install_tree
    export PKG_CONFIG_PATH="$folder/prefix/share/pkgconfig"
    # shellcheck disable=SC2046
    build_plainly $(pkg-config --cflags s3)
    ;;
include)
    build_plainly -I"$source/include"
    ;;
single_header)
    mkdir -p alone/s3
    python3 "$source/packaging/single_header.py" alone/s3/shift.hpp
    build_plainly -Ialone
    ;;
debian)
    for tool in dpkg-buildpackage dh lintian; do
        command -v "$tool" >/dev/null || not_tried "$tool is not installed (dpkg-dev, debhelper, lintian)"
    done
    archive
    tar -xzf s3.tar.gz
    cp -r s3/packaging/debian s3/debian
    few_networks
    (cd s3 && DEB_BUILD_OPTIONS="nocheck terse" dpkg-buildpackage -b -us -uc)
    lintian --allow-root --fail-on error,warning,info ./*.changes
    [ "$(dpkg-deb --field libs3-shift-dev_*.deb Version)" = "$(version)" ]
    for package in ./*_*.deb; do
        dpkg-deb --extract "$package" prefix
    done
    runs_a_network prefix/usr/bin/s3shift
    build_with_cmake -DCMAKE_PREFIX_PATH="$folder/prefix/usr"
    ;;
conan)
    python3 -B -c 'import sys; compile(open(sys.argv[1]).read(), *sys.argv[1:], "exec")' \
        "$source/packaging/conan/conanfile.py"
    command -v conan >/dev/null || not_tried "conan is not installed; the recipe is Python that compiles"
    export CONAN_HOME=$folder/conan
    conan profile detect
    conan create "$source/packaging/conan" --build=missing -s compiler.cppstd=20
    conan install --requires="s3-shift/$(version)" -g CMakeDeps -of generators -s compiler.cppstd=20
    io=1
    build_with_cmake -DCMAKE_PREFIX_PATH="$folder/generators" -DCMAKE_BUILD_TYPE=Release
    ;;
vcpkg)
    [ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' \
        "$source/packaging/vcpkg/vcpkg.json")" = "$(version)" ]
    command -v vcpkg >/dev/null || not_tried "vcpkg is not installed; the port states the right version"
    vcpkg install s3-shift --overlay-ports="$source/packaging/vcpkg" --x-install-root="$folder/installed"
    build_with_cmake -DCMAKE_PREFIX_PATH="$(echo "$folder"/installed/*-*)"
    ;;
pip)
    python=/usr/bin/python3
    for module in pip setuptools wheel venv; do
        "$python" -c "import $module" 2>/dev/null ||
            not_tried "Python's $module is not installed (python3-$module)"
    done
    archive
    tar -xzf s3.tar.gz
    few_networks
    export S3_SETS=$S3_NETWORK_SETS S3_FORMATS=${S3_NETWORK_FORMATS//;/ } S3_TORCH=off
    "$python" -m venv --system-site-packages --without-pip environment
    environment/bin/python -m pip install --no-build-isolation --no-index s3/packaging/python
    [ "$(environment/bin/python -c 'import s3; print(s3.__version__)')" = "$(version)" ]
    environment/bin/python -c "import numpy, s3, sys
network = s3.load(sys.argv[1])
x = numpy.random.default_rng(1).integers(0, 256, (2, *network.input_shape), numpy.uint8)
assert (network.run(x, integers=True) == network.reference(x)).all()" "$network"
    runs_a_network environment/bin/s3shift
    ;;
program)
    install_tree
    [ -x prefix/bin/s3shift ] || not_tried "the program was not built in $build"
    runs_a_network prefix/bin/s3shift
    ;;
*)
    echo "unknown way: $way" >&2
    exit 2
    ;;
esac
