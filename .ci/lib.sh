# Sourced by the scripts in this folder. They bring a Debian machine (root, perhaps no init
# system, package registries and nothing else) to what the tests need, and do nothing where it
# is there already.
set -euo pipefail

CI_FOLDER=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(dirname "$CI_FOLDER")
# Survives between runs on one machine: tools, apt lists, the engine's log and pid.
STATE=${CI_STATE:-/var/tmp/fleet-ci}
mkdir -p "$STATE/bin"

say() { printf '%s %s\n' "$(date +%T)" "$*"; }

# Address of the Debian mirror that this machine uses itself. Kept: once packages of the next
# release are in, the machine may give that one's name as its own.
debian_mirror() {
  local release
  if [ ! -s "$STATE/mirror" ]; then
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $release" |
      head -n1 >"$STATE/mirror"
  fi
  [ -s "$STATE/mirror" ] || { say "no Debian mirror among this machine's sources" >&2; return 1; }
  cat "$STATE/mirror"
}

# Runs apt-get on the machine's own sources, whose lists a new machine may not have yet.
apt_machine() {
  if [ ! -e "$STATE/apt-updated" ]; then
    _apt_get update
    touch "$STATE/apt-updated"
  fi
  _apt_get "$@"
}

# Runs apt-get on the machine's own sources plus Debian trixie, which is newer than some hosts.
# Lists and sources are kept apart, so that the machine's own apt never offers trixie's packages.
apt_trixie() {
  local own=$STATE/apt
  local -a options=(
    -o "Dir::Etc::sourceparts=$own/sources.d" -o "Dir::Etc::preferencesparts=$own/preferences.d"
    -o "Dir::State::lists=$own/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  )
  if [ ! -e "$own/ready" ]; then
    mkdir -p "$own"/{sources.d,preferences.d,lists/partial}
    find /etc/apt/sources.list.d -name 'debian*' -exec cp -t "$own/sources.d" {} +
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) trixie main" \
      >"$own/sources.d/trixie.list"
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >"$own/preferences.d/trixie"
    _apt_get "${options[@]}" update
    touch "$own/ready"
  fi
  _apt_get "${options[@]}" "$@"
}

_apt_get() {
  env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}
