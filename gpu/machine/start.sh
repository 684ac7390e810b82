#!/usr/bin/env bash
# Runs on a rented machine, as root, before and beside SwarmUI. gpu/services/provisioning.py puts it there.
#
#   start.sh boot    what must happen before the image's own entrypoint: the dead-man switch, then the downloads behind it
#   start.sh fetch   the downloads alone
#
# It tells its progress in the container's log, one line each: i2v {"step": ..., ...}
#   disk      need, free                    bytes
#   download  done, total, mbps, left       bytes, megabits per second, number of files
#   verify    file
#   done      done, total, mbps, seconds
#   failed    error, file                   see the codes at fail()
#
# Settings come from the environment (defaults in brackets):
#   I2V_DIR [/var/lib/i2v] state, readable by root alone      I2V_SWARM [$WORKSPACE/SwarmUI]
#   I2V_LOG [the log of process 1]                            I2V_VAST_API [https://console.vast.ai]
#   I2V_FILES gzip+base64 of lines: name, folder, bytes, sha256, link (tab between)
#   I2V_TRIES [20] per file   I2V_WAIT_S [3] between them     I2V_TICK_S [5] between lines of progress
#   I2V_STALL_S [30] without a byte ends a connection         I2V_SPARE_MB [2048] kept free on the disk
#   I2V_PARALLEL [3] files at once                            I2V_CONNECTIONS [8] for each, with aria2c
#   I2V_SWARM_WAIT_S [1200] for the image to unpack SwarmUI
# Never `set -x`: the links in I2V_FILES open our bucket, and the container's log is kept.
set -uo pipefail
umask 077

here=${I2V_DIR:-/var/lib/i2v}
workspace=${WORKSPACE:-/workspace}
swarm=${I2V_SWARM:-$workspace/SwarmUI}
# Beside SwarmUI, so that the last step is a rename; inside it, the image would take SwarmUI for unpacked already.
staging=$(dirname "$swarm")/.i2v-models
tries=${I2V_TRIES:-20} wait_s=${I2V_WAIT_S:-3} tick_s=${I2V_TICK_S:-5} stall_s=${I2V_STALL_S:-30}
parallel=${I2V_PARALLEL:-3} connections=${I2V_CONNECTIONS:-8} spare=$((${I2V_SPARE_MB:-2048} * 1048576))

names=() folders=() sizes=() sums=() links=()

log_file() {
  if [ -n "${I2V_LOG:-}" ]; then echo "$I2V_LOG"
  elif { : >>/proc/1/fd/1; } 2>/dev/null; then echo /proc/1/fd/1 # what vast.ai keeps as the container's log
  else echo /dev/stdout; fi
}

say() {
  printf 'i2v %s\n' "$1" >>"$log"
  # What the dead-man switch answers a renewal with: the same news without a detour over vast.ai's log store.
  # Several downloads speak at once: each writes its own file, and the rename is atomic.
  printf '%s' "$1" >"$here/progress.$BASHPID" && mv -f "$here/progress.$BASHPID" "$here/progress.json"
}

# Codes: no_python, no_switch, no_instance_key, bad_list, disk_full, link_refused, missing, wrong_size, wrong_checksum,
# download_failed, no_swarmui. The first one stays: what fails after it is only its echo.
fail() {
  local line="{\"step\":\"failed\",\"error\":\"$1\",\"file\":\"${2:-}\"}"
  if mkdir "$here/failed" 2>/dev/null; then
    say "$line"
    printf '%s' "$line" >"$here/failed/line"
  fi
  exit 1
}

seconds() { local up _; read -r up _ </proc/uptime; echo "${up/./}"; } # hundredths; no clock that can be set

# ---------------------------------------------------------------------------------------------------------- the switch

start_switch() {
  command -v python3 >/dev/null || fail no_python
  printf %s "${I2V_SWITCH:-}" | base64 -d | gzip -d >"$here/switch.py" || fail no_switch
  [ -n "${CONTAINER_API_KEY:-}" ] || [ -s /root/.vast_api_key ] || fail no_instance_key
  # Started again whenever it ends; the file that it keeps makes the clocks go on.
  # shellcheck disable=SC2016 # $0 is the inner shell's
  setsid nohup bash -c 'while :; do python3 "$0/switch.py"; sleep 1; done' "$here" </dev/null >>"$log" 2>&1 &
  # Nothing is fetched, and nothing is worth keeping, on a machine that would not end by itself.
  for _ in $(seq 100); do
    [ ! -s "$here/lease.json" ] || return 0
    sleep 0.1
  done
  fail no_switch
}

# ------------------------------------------------------------------------------------------------------ the downloads

read_list() {
  local name folder size sum link
  while IFS=$'\t' read -r name folder size sum link; do
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && $folder =~ ^[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)*$ && $folder != *..* ]] || return 1
    [[ $size =~ ^[0-9]+$ && $sum =~ ^[0-9a-f]{64}$ && $link =~ ^https?://[^[:space:]]+$ ]] || return 1
    names+=("$name") folders+=("$folder") sizes+=("$size") sums+=("$sum") links+=("$link")
  done < <(printf %s "${I2V_FILES:-}" | base64 -d 2>/dev/null | gzip -d 2>/dev/null)
  [ "${#names[@]}" -eq "${I2V_FILE_COUNT:-0}" ]
}

on_disk() { # bytes really written: a file that is fetched in pieces looks whole from its first moment on
  local blocks unit
  read -r blocks unit < <(stat -c '%b %B' "$1" 2>/dev/null) || { echo 0; return; }
  echo $((blocks * unit))
}

target() { echo "$swarm/Models/${folders[$1]}/${names[$1]}"; }
part() { echo "$staging/${sums[$1]}.part"; }
ready() { echo "$staging/${sums[$1]}"; } # whole and checked, not yet in its place

is_there() {
  local path
  for path in "$(target "$1")" "$(ready "$1")"; do
    [ -f "$path" ] || continue
    # What was checked once is not read again after a reboot.
    [ -e "$here/checked.${sums[$1]}" ] && [ "$(stat -c %s "$path")" -eq "${sizes[$1]}" ] && return 0
    matches "$path" "$1" && { : >"$here/checked.${sums[$1]}"; return 0; }
  done
  rm -f "$here/checked.${sums[$1]}"
  return 1
}

matches() {
  [ "$(stat -c %s "$1")" -eq "${sizes[$2]}" ] || return 1
  [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "${sums[$2]}" ]
}

bytes_of() {
  local held
  if [ -e "$here/checked.${sums[$1]}" ]; then echo "${sizes[$1]}"; return; fi
  held=$(on_disk "$(part "$1")")
  # Asked after the part: a file that has just been moved is in one of the two places.
  if [ -f "$(ready "$1")" ]; then echo "${sizes[$1]}"; return; fi
  echo $((held < sizes[$1] ? held : sizes[$1])) # the disk hands out whole blocks
}

check_disk() {
  local i need=$spare free
  for i in "${!names[@]}"; do need=$((need + sizes[i] - $(bytes_of "$i"))); done
  free=$(($(df -Pk "$staging" | awk 'NR==2 {print $4}') * 1024))
  say "{\"step\":\"disk\",\"need\":$need,\"free\":$free}"
  [ "$free" -ge "$need" ] || fail disk_full
}

with_aria2c() {
  local options="$here/aria2.${sums[$1]}"
  printf '%s\n  dir=%s\n  out=%s\n' "${links[$1]}" "$staging" "$(basename "$(part "$1")")" >"$options"
  # Without a cache of its own, what is on the disk is what has come: for the progress, and after a kill. Quoted links
  # in its errors are why its log stays here.
  aria2c --no-conf --input-file="$options" --continue=true --allow-overwrite=true --auto-file-renaming=false \
    --split="$connections" --max-connection-per-server="$connections" --min-split-size=16M \
    --file-allocation=none --disk-cache=0 --auto-save-interval=2 \
    --max-tries=1 --timeout="$stall_s" --connect-timeout="$stall_s" --check-certificate=true \
    --summary-interval=0 --show-console-readout=false --console-log-level=error >"$here/aria2.log.${sums[$1]}" 2>&1
  case $? in
    0) return 0 ;;
    3) return 44 ;;
    9 | 17 | 18) return 50 ;;
    # Its 22 stands for a server in trouble as well as for a refusal.
    22 | 24) if grep -q 'status=40[0-3]' "$here/aria2.log.${sums[$1]}"; then return 43; else return 1; fi ;;
    *) return 1 ;;
  esac
}

with_curl() {
  local options="$here/curl.${sums[$1]}" status code
  printf 'url = "%s"\noutput = "%s"\n' "${links[$1]}" "$(part "$1")" >"$options" # an argument would show in `ps`
  status=$(curl --config "$options" --silent --fail --continue-at - --connect-timeout "$stall_s" \
    --speed-limit 1 --speed-time "$stall_s" --write-out '%{http_code}' 2>/dev/null)
  code=$?
  case $code:$status in
    0:*) return 0 ;;
    *:404) return 44 ;;
    *:400 | *:401 | *:403) return 43 ;;
    23:*) return 50 ;;
    33:* | *:416) rm -f "$(part "$1")"; return 1 ;; # cannot be gone on with: from the start
    *) return 1 ;;
  esac
}

fetch_one() {
  local i=$1 try code wrong=0 path
  path=$(part "$i")
  for ((try = 1; try <= tries; try++)); do
    code=0
    if [ -e "$path.aria2" ] || [ "$(stat -c %s "$path" 2>/dev/null || echo 0)" -ne "${sizes[i]}" ]; then
      if command -v aria2c >/dev/null; then with_aria2c "$i"; else with_curl "$i"; fi
      code=$?
    fi
    case $code in
      43) fail link_refused "${names[i]}" ;;
      44) fail missing "${names[i]}" ;;
      50) fail disk_full "${names[i]}" ;;
      0)
        say "{\"step\":\"verify\",\"file\":\"${names[i]}\"}"
        if matches "$path" "$i"; then
          rm -f "$path.aria2"
          mv -f "$path" "$(ready "$i")" && : >"$here/checked.${sums[i]}" && return 0
        fi
        # Once may be the line's fault; three times over, the object in the bucket is another one.
        [ "$(stat -c %s "$path")" -eq "${sizes[i]}" ] && code=wrong_checksum || code=wrong_size
        rm -f "$path" "$path.aria2"
        [ $((wrong += 1)) -ge 3 ] && fail $code "${names[i]}"
        ;;
    esac
    sleep "$wait_s"
  done
  fail download_failed "${names[i]}"
}

watch() {
  local since now before=-1 total=0 i sum left mbps
  for i in "${!names[@]}"; do total=$((total + sizes[i])); done
  since=$(seconds)
  while :; do
    sum=0 left=0
    for i in "${!names[@]}"; do
      sum=$((sum + $(bytes_of "$i")))
      [ -e "$here/checked.${sums[i]}" ] || left=$((left + 1))
    done
    now=$(seconds) mbps=0
    # A repaired file starts over, so the sum may fall.
    [ "$before" -ge 0 ] && [ "$now" -gt "$since" ] && [ "$sum" -gt "$before" ] && mbps=$(((sum - before) * 8 / 10000 / (now - since)))
    if [ "$left" -eq 0 ] || [ -e "$here/failed" ]; then return; fi
    say "{\"step\":\"download\",\"done\":$sum,\"total\":$total,\"mbps\":$mbps,\"left\":$left}"
    before=$sum since=$now
    sleep "$tick_s"
  done
}

wait_for_swarmui() {
  local until=$(($(seconds) + ${I2V_SWARM_WAIT_S:-1200} * 100))
  until [ -d "$swarm" ]; do
    [ "$(seconds)" -lt "$until" ] || fail no_swarmui
    sleep 1
  done
}

put_in_place() {
  local i path
  umask 022
  for i in "${!names[@]}"; do
    path=$(target "$i")
    [ -f "$(ready "$i")" ] || continue
    if ! { mkdir -p "$(dirname "$path")" && chmod 644 "$(ready "$i")" && mv -f "$(ready "$i")" "$path"; }; then
      fail disk_full "${names[i]}"
    fi
  done
  # SwarmUI need not run as root, and keeps what it knows of models beside them.
  [ ! -d "$swarm/Models" ] || chown -R --reference="$swarm" "$swarm/Models"
}

fetch() {
  local i begun took watcher slot fetched=0 total=0 bad=0 missing=() workers=()
  exec 9>"$here/fetch.lock" && flock 9 # a downloader that outlived its script holds it too
  rm -rf "$here/failed"
  read_list || fail bad_list
  mkdir -p "$staging" || fail disk_full
  begun=$(seconds)
  for i in "${!names[@]}"; do
    total=$((total + sizes[i]))
    is_there "$i" && continue
    missing+=("$i")
    fetched=$((fetched + sizes[i] - $(bytes_of "$i")))
  done
  check_disk
  watch &
  watcher=$!
  # Largest first (so they are listed), dealt out in turn: the slots end at about the same time.
  for ((slot = 0; slot < parallel; slot++)); do
    (for ((i = slot; i < ${#missing[@]}; i += parallel)); do fetch_one "${missing[i]}"; done) &
    workers+=($!)
  done
  for i in "${workers[@]}"; do wait "$i" || bad=1; done
  kill "$watcher" 2>/dev/null
  [ "$bad" -eq 0 ] || exit 1
  took=$(($(seconds) - begun))
  wait_for_swarmui
  put_in_place
  say "{\"step\":\"done\",\"done\":$total,\"total\":$total,\"mbps\":$((took > 0 ? fetched * 8 / 10000 / took : 0)),\"seconds\":$((took / 100))}"
}

mkdir -p "$here" && chmod 700 "$here"
log=$(log_file)
case ${1:-} in
  boot)
    start_switch
    # Hashing 14 GB models at their first use would hold the first video up for minutes.
    for settings in /opt/workspace-internal/SwarmUI/Data/Settings.fds "$swarm/Data/Settings.fds"; do
      [ ! -f "$settings" ] || sed -i -E 's/^([[:space:]]*ImageMetadataIncludeModelHash:).*/\1 false/' "$settings"
    done
    setsid nohup bash "$0" fetch </dev/null >>"$log" 2>&1 &
    ;;
  fetch) fetch ;;
  *) echo "usage: start.sh boot|fetch" >&2; exit 2 ;;
esac
