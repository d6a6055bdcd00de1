#!/usr/bin/env bash
# tools/bare_debian.sh RELEASE [ARGUMENTS]: runs `./dev ARGUMENTS` (by default `./dev test`) on a Debian 12 or 13 with
# nothing installed, as a user meets it who has just cloned the repository. As root; needs debootstrap.
#
#     tools/bare_debian.sh 13                       # ./dev test
#     tools/bare_debian.sh 13 test -R same_bits     # ./dev test -R same_bits
#     tools/bare_debian.sh 13 package               # ./dev package, then tools/check_packages.sh on a second bare system
#
# The system stands in build/debian-RELEASE and is kept, with its build folder, for the next time; as debootstrap made it
# it is in build/debian-RELEASE.bare. It comes from the mirror that this machine's apt uses, if that has Debian, or from
# HWYNN_DEBIAN_MIRROR.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { echo "bare_debian: $*" >&2; exit 1; }

release=${1:-}
shift || true
case $release in
  12) suite=bookworm ;;
  13) suite=trixie ;;
  *) die "which Debian, 12 or 13?" ;;
esac
((EUID == 0)) || die "must be root, for debootstrap and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap debian-archive-keyring"

system=$root/build/debian-$release

# A new system in the folder named: a copy of the one that debootstrap makes the first time.
make_system() {
  if [[ ! -d $system.bare ]]; then
    local mirror
    # shellcheck disable=SC2016  # apt's own variable
    mirror=${HWYNN_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' \
      2>/dev/null | head -n 1 || true)}
    rm -rf "$system.part"
    mkdir -p "$root/build"
    # shellcheck disable=SC2086  # without a mirror debootstrap takes its own
    debootstrap --variant=minbase "$suite" "$system.part" $mirror >"$system.log" || { tail "$system.log" >&2; exit 1; }
    mv "$system.part" "$system.bare"
  fi
  rm -rf "$1"
  cp -a "$system.bare" "$1"
}

# The files that git knows or would take, in the system's /hwynn; those of the last time go, but for the build folder.
copy_sources() {
  cp /etc/resolv.conf "$1/etc/resolv.conf"
  mkdir -p "$1/hwynn"
  find "$1/hwynn" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  (cd "$root" && git -c safe.directory="$root" ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- --ignore-failed-read --warning=no-failed-read) | tar --extract -C "$1/hwynn"
}

# in_system SYSTEM COMMAND…: mounts in a namespace of their own end with it.
in_system() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --fork bash -c '
    system=$1
    shift
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    exec chroot "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
      HWYNN_CMAKE_ARGS="${HWYNN_CMAKE_ARGS:-}" CXX="${CXX:-}" "$@"' bare_debian "$@"
}

[[ -d $system ]] || make_system "$system"
copy_sources "$system"
in_system "$system" /hwynn/dev "${@:-test}"
if [[ ${1:-} == package ]]; then
  make_system "$system-packages"
  copy_sources "$system-packages"
  mkdir "$system-packages/packages"
  cp "$system"/hwynn/build/package/packages/*.deb "$system-packages/packages"
  in_system "$system-packages" /hwynn/tools/check_packages.sh /packages
fi
