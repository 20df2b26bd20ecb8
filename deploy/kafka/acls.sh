#!/bin/sh
# Who may do what on Kafka, a principal a role (docs/access.md). Run it as an administrator:
#   acls.sh --bootstrap-server kafka:9092 --command-config admin.properties
# GROUP is MODERATION_CONSUMER_GROUP. The groups of the site's own programs begin with "site-".
set -eu
GROUP=${GROUP:-image-moderation}

allow() {
  principal=$1
  shift
  kafka-acls.sh $common --add --allow-principal "User:$principal" "$@"
}
common=$* # words of their own, so it is not quoted below

# Leave out "--operation Create" where you have made the topics.
allow service --operation Read --operation Describe --operation Create --topic image.reported --topic image.reviewed
allow service --operation Write --operation Describe --operation Create --topic image.blocked --topic image.unblocked \
  --topic image.review-requested --topic image.dead-letter
allow service --operation Read --group "$GROUP"
allow producer --operation Write --topic image.reported
allow moderator --operation Write --topic image.reviewed
allow consumer --operation Read --topic image.blocked --topic image.unblocked --topic image.review-requested
allow consumer --operation Read --group site- --resource-pattern-type prefixed
allow operator --operation Read --operation Write --topic image. --resource-pattern-type prefixed
allow operator --operation Read --operation Delete --group "$GROUP"
