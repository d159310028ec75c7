# packages.sh — sourced by demo and check: installs system packages that are missing, and says which.
#
# Debian and its kin: apt-get, as root or through sudo. macOS: Homebrew.

say() { printf '\n== %s\n' "$*"; }

die() { printf 'error: %s\n' "$*" >&2; exit 4; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "'$*' needs root: run as root or install sudo"
  fi
}

debian_missing() {
  local name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || echo "$name"
  done
}

# Whatever is missing ends the script with its name, instead of being installed.
no_downloads() { may_download=no; }

# need_debian PACKAGE… — those that are not there yet.
need_debian() {
  local missing
  missing=$(debian_missing "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086
  [ "${may_download:-yes}" = yes ] || die "not installed:" $missing "(./demo installs what a build needs)"
  say "installing:" $missing
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # shellcheck disable=SC2086 # one word a package
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

need_homebrew() {
  local name
  command -v brew >/dev/null || die "Homebrew is not installed: https://brew.sh"
  for name in "$@"; do
    brew list --versions "$name" >/dev/null 2>&1 && continue
    [ "${may_download:-yes}" = yes ] || die "not installed: $name (./demo installs what a build needs)"
    say "installing: $name"
    brew install "$name"
  done
}

# What it takes to build lathe.
need_build_packages() {
  case "$(uname -s)" in
    Linux)
      command -v apt-get >/dev/null || die "only Debian and its kin are set up automatically; install gcc, meson,
ninja, pkg-config, pcre2, jansson, xxhash, nettle, libcurl, libedit and cmocka (headers too), then: meson setup build && ninja -C build"
      need_debian gcc libc6-dev meson ninja-build pkg-config libpcre2-dev libjansson-dev libxxhash-dev \
        nettle-dev libcurl4-openssl-dev libedit-dev libcmocka-dev ;;
    Darwin) need_homebrew meson ninja pkg-config pcre2 jansson xxhash nettle cmocka ;; # libcurl and libedit are macOS's own
    *) die "unknown system $(uname -s): lathe builds on Linux and macOS" ;;
  esac
}

# What the tests take besides: a second compiler with sanitizers, Python, a browser for the report, and Objective-C
# with GNUstep for the double of Core ML (musl: plain C headers that parse for Apple's target). qemu runs kernels of AArch64.
need_test_packages() {
  case "$(uname -s)" in
    Linux) need_debian clang libclang-rt-14-dev llvm-14 python3 python3-venv git ca-certificates \
      chromium fonts-dejavu-core libobjc-12-dev libgnustep-base-dev libblocksruntime-dev musl-dev qemu-user-static ;;
    Darwin) need_homebrew python@3.12
      PATH=$(brew --prefix python@3.12)/libexec/bin:$PATH # python3 of the oracles, whose packages are for it
      export PATH ;;
  esac
}

# configure DIR OPTION… — a Meson build directory, set up once.
configure() {
  local dir=$1
  shift
  [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; die "meson setup failed"; }
}
