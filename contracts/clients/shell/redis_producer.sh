#!/bin/sh
# Reports one image for one person: REDIS_URL=redis://localhost:6379 sh redis_producer.sh IMAGE REPORTER
# Only for ids without quotes and backslashes. Needs redis-cli 7 for its -e: an error ends it with another code than 0.
image_id=$1 reporter_id=$2
event=$(printf '{"specversion": "1.0", "id": "%s", "source": "/gallery", "type": "image.reported.v1",
  "time": "%s", "data": {"image_id": "%s", "reporter_id": "%s", "reason": "nudity"}}' \
  "$image_id/$reporter_id" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$image_id" "$reporter_id")
# Until it is stored; a repetition has the same id and time, so it counts once.
until redis-cli -e -u "$REDIS_URL" XADD image.reported '*' __data__ "$event" >/dev/null; do
  sleep 1
done
echo "reported $image_id"
