#!/usr/bin/env bash
# Finds a Chromium for the page tests, or installs the system's package.
set -euo pipefail

find_browser() {
    if [[ -n "${PLEXUS_CHROMIUM:-}" ]]; then
        command -v "$PLEXUS_CHROMIUM" && return
        echo "PLEXUS_CHROMIUM names no program: $PLEXUS_CHROMIUM" >&2
        exit 1
    fi
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

if found=$(find_browser); then
    echo "browser: $found"
    exit 0
elif [[ -n "${PLEXUS_CHROMIUM:-}" ]]; then
    exit 1
fi

advice="install Chromium with the system's package manager, or set PLEXUS_CHROMIUM to a Chromium or Chrome program"
if ! command -v apt-get >/dev/null; then
    echo "the page tests need Chromium and found none: $advice" >&2
    exit 1
fi

as_root=()
if [[ "$(id -u)" != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "the page tests need Chromium, and installing it needs root: $advice" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "browser: none found, installing Chromium with apt-get"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium
echo "browser: $(find_browser)"
