#!/bin/sh
# Makes the base images that Warren needs, on a machine that reaches Debian's and npm's registries but no image registry.
# Where an image registry is reachable, this script is not needed: the compose file and the tests then pull the official images.
#
#   sh infra/images/make-base-images.sh                 # all: rabbitmq postgres node
#   sh infra/images/make-base-images.sh rabbitmq        # only what the integration tests of the broker need
#
# Prints, last, the settings that make compose and the tests use them, to be put into `.env` or exported.
# Needs root, a Docker engine, `debootstrap`; `node` also needs `npm ci` done in this checkout.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mirror=${WARREN_DEBIAN_MIRROR:-}
base=warren-local/debian:trixie
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "make-base-images: $*" >&2; }
fail() { say "$*"; exit 1; }
have() { docker image inspect "$1" > /dev/null 2>&1; }

docker info > /dev/null 2>&1 || fail "no Docker engine answers; start one (Debian: apt-get install docker.io) and run this again"

make_base() {
  have "$base" && return
  command -v debootstrap > /dev/null || fail "debootstrap is missing; apt-get install debootstrap"
  say "making $base from ${mirror:-the mirror that debootstrap knows}"
  debootstrap --variant=minbase trixie "$work/trixie" ${mirror:+"$mirror"} > "$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
  rm -rf "$work"/trixie/var/cache/apt/archives/*.deb "$work"/trixie/var/lib/apt/lists/*
  tar -C "$work/trixie" -c . | docker import - "$base" > /dev/null
  rm -rf "$work/trixie"
}

# The host's network, because the engine may run without its own packet filter rules, and because registries may be reachable only there.
build() {
  image=$1 folder=$2
  if have "$image"; then say "$image is there"; return; fi
  make_base
  say "making $image"
  DOCKER_BUILDKIT=0 docker build --network host --build-arg "BASE=$base" --tag "$image" "$folder" > "$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; fail "building $image failed"; }
}

make_node() {
  if have warren-local/node:24; then say "warren-local/node:24 is there"; return; fi
  binary=$here/../../node_modules/node/bin/node
  [ -x "$binary" ] || fail "no Node 24 in node_modules; run npm ci first"
  mkdir "$work/node"
  cp "$here/node/Dockerfile" "$work/node/"
  cp -L "$binary" "$work/node/node"
  (cd "$work/node" && npm pack --silent npm@11 > /dev/null && tar -xzf npm-*.tgz && mv package npm && rm npm-*.tgz)
  build warren-local/node:24 "$work/node"
}

for target in ${*:-rabbitmq postgres node}; do
  case $target in
    rabbitmq) build warren-local/rabbitmq:4.0 "$here/rabbitmq"; settings="${settings:-}WARREN_RABBITMQ_IMAGE=warren-local/rabbitmq:4.0\n" ;;
    postgres) build warren-local/postgres:17 "$here/postgres"; settings="${settings:-}WARREN_POSTGRES_IMAGE=warren-local/postgres:17\n" ;;
    node) make_node; settings="${settings:-}WARREN_NODE_IMAGE=warren-local/node:24\n" ;;
    *) fail "unknown image '$target'; known: rabbitmq postgres node" ;;
  esac
done
printf "$settings"
