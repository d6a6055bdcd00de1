#!/usr/bin/env bash
# tools/bare_debian.sh RELEASE [ARGUMENTS]: runs `./dev ARGUMENTS` (by default `./dev test`) on a Debian 12 or 13 with
# nothing installed, as a user meets it who has just cloned the repository. As root; needs debootstrap.
#
#     tools/bare_debian.sh 13                       # ./dev test
#     tools/bare_debian.sh 13 test -R same_bits     # ./dev test -R same_bits
#
# The system stands in build/debian-RELEASE and is kept, with its build folder, for the next time. It comes from the
# mirror that this machine's apt uses, if that has Debian, or from HWYNN_DEBIAN_MIRROR.
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
if [[ ! -d $system ]]; then
  # shellcheck disable=SC2016  # apt's own variable
  mirror=${HWYNN_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' \
    2>/dev/null | head -n 1 || true)}
  rm -rf "$system.part"
  mkdir -p "$root/build"
  # shellcheck disable=SC2086  # without a mirror debootstrap takes its own
  debootstrap --variant=minbase "$suite" "$system.part" $mirror >"$system.log" || { tail "$system.log" >&2; exit 1; }
  mv "$system.part" "$system"
fi
cp /etc/resolv.conf "$system/etc/resolv.conf"

# The files that git knows or would take; those of the last time go, but for the build folder.
mkdir -p "$system/hwynn"
find "$system/hwynn" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
cd "$root"
git -c safe.directory="$root" ls-files -z --cached --others --exclude-standard |
  tar --create --null --files-from=- --ignore-failed-read --warning=no-failed-read | tar --extract -C "$system/hwynn"

# Mounts in a namespace of their own end with it.
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount --fork bash -c '
  system=$1
  shift
  mount -t proc proc "$system/proc"
  mount --rbind /dev "$system/dev"
  exec chroot "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    HWYNN_CMAKE_ARGS="${HWYNN_CMAKE_ARGS:-}" CXX="${CXX:-}" /hwynn/dev "$@"' bare_debian "$system" "${@:-test}"
