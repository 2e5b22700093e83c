#!/usr/bin/env bash
# The nine tests of the video completion webhook, against a running Reelay.
#
#   scripts/test-video-webhook.sh [URL]        where `reelay dev` answers, unless given
#
# KEY             the API key by which the two jobs are announced (that of `reelay dev`)
# WEBHOOK_SECRET  the secret shared with the backend (none: `reelay dev` needs none)
# VIDEO_URL       where the finished video is fetched from (the simulator of `reelay dev`)
#
# Exits with 1 when a test fails.
set -uo pipefail

stack="${REELAY_DATA_DIR:-.reelay}"

# stack_url NAME DEFAULT: an address of the running `reelay dev`.
stack_url() {
    local found
    found="$(sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$stack/stack.json" 2>/dev/null)"
    echo "${found:-$2}"
}

url="${1:-$(stack_url api_url http://127.0.0.1:8000)}"
url="${url%/}"
key="${KEY:-$(cat "$stack/local-key" 2>/dev/null)}"
video_url="${VIDEO_URL:-$(stack_url simulator_url http://127.0.0.1:8010)/files/samples/output.mp4}"
webhook="$url/api/webhooks/video-completion"
job="test-job-$(date +%s)-$$"
failing_job="$job-failing"
failures=0

answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT

# call METHOD ADDRESS [BODY] [HEADER...]: prints the status code, and leaves the body in $answer.
call() {
    local method="$1" address="$2" body="${3:-}"
    local arguments=(-sS -m 30 -o "$answer" -w '%{http_code}' -X "$method" -H 'Content-Type: application/json')
    for header in "${@:4}"; do arguments+=(-H "$header"); done
    if [ -n "$body" ]; then arguments+=(-d "$body"); fi
    : >"$answer"
    curl "${arguments[@]}" "$address"
}

as_user() { call "$1" "$url$2" "${3:-}" "Authorization: Bearer $key"; }

push() { call POST "$webhook" "$1" ${WEBHOOK_SECRET:+"X-Webhook-Secret: $WEBHOOK_SECRET"}; }

says() { grep -q "$1" "$answer"; }

shows() { [ "$(as_user GET "/api/jobs/$1")" = 200 ] && says "$2"; }

# becomes JOB PATTERN: whether the job shows it within half a minute.
becomes() {
    for _ in $(seq 60); do
        shows "$1" "$2" && return
        sleep 0.5
    done
    return 1
}

# check NAME COMMAND...
check() {
    if "${@:2}"; then
        echo "✅ $1"
    else
        failures=$((failures + 1))
        echo "❌ $1"
        echo "   $(head -c 500 "$answer")"
    fi
}

announce() {
    local body="{\"model\": \"studio-push\", \"externalId\": \"$1\", \"input\": {\"prompt\": \"a test\"}}"
    [ "$(as_user POST /api/jobs "$body")" = 202 ] && becomes "$1" '"status":"submitted"'
}

status_of() { printf '{"job_id": "%s", "status": "%s", "content_type": "video"}' "$1" "$2"; }

end_of() {
    local now
    now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    cat <<JSON
{"job_id": "$job", "status": "completed", "content_type": "video", "timestamp": "$now", "has_data": true,
 "data": {"job_id": "$job", "status": "completed",
  "videos": [{"filename": "test.mp4", "file_path": "/videos/$job/test.mp4", "file_url": "$video_url",
   "file_size": 15728640, "format": "mp4", "duration_seconds": 8, "aspect_ratio": "16:9",
   "dimensions": {"width": 1920, "height": 1080}, "created_at": "$now"}],
  "metadata": {"model_name": "veo-2.0-generate-001", "model_version": "2.0", "processing_time": 120.5,
   "generation_time": 90.2, "download_time": 30.3, "prompt_used": "a test"},
  "generated_at": "$now", "success": true, "num_videos": 1, "prompt": "a test"},
 "environment": "development"}
JSON
}

is_healthy() { [ "$(call GET "$webhook")" = 200 ]; }

refuses_what_is_no_push() { [ "$(push '{"status": "completed"}')" = 400 ] && says 'job_id'; }

moves_to() { [ "$(push "$(status_of "$job" "$1")")" = 200 ] && shows "$job" "\"progress\":$2,"; }

completes() {
    [ "$(push "$(end_of)")" = 200 ] && says '"num_videos":1' && becomes "$job" '"status":"completed","stage":"done","progress":100,'
}

fails() { [ "$(push "$(status_of "$failing_job" failed)")" = 200 ] && becomes "$failing_job" '"status":"failed"'; }

is_idempotent() {
    [ "$(push "$(end_of)")" = 200 ] && [ "$(push "$(status_of "$job" failed)")" = 200 ] &&
        shows "$job" '"status":"completed"'
}

for each in "$job" "$failing_job"; do
    if ! announce "$each"; then
        echo "❌ the job $each cannot be announced at $url: is KEY an API key of it?"
        echo "   $(head -c 500 "$answer")"
        exit 1
    fi
done

check "1. health" is_healthy
check "2. invalid payload is refused (400)" refuses_what_is_no_push
check "3. pending (0 %)" moves_to pending 0
check "4. processing (25 %)" moves_to processing 25
check "5. generating (50 %)" moves_to generating 50
check "6. downloading (75 %)" moves_to downloading 75
check "7. completed, with its video" completes
check "8. failed" fails
check "9. the same again changes nothing" is_idempotent

echo
if [ "$failures" -gt 0 ]; then
    echo "❌ $failures of 9 tests failed"
    exit 1
fi
echo "✅ all 9 tests passed"
