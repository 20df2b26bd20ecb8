#!/bin/bash
# RabbitMQ's users, one for each role, with the least rights. Prints each one's password. Run it as the server's own user,
# where `rabbitmqctl` is; docs/access.md explains it.
#
# A permission is configure, write, read. `image-moderation` is the exchange and also MODERATION_CONSUMER_GROUP, by which
# the queues are called; `site.…` are the queues of the site's own workers.
set -euo pipefail

for user in service producer moderator consumer operator; do
  password=$(openssl rand -hex 24)
  echo "$user $password"
  rabbitmqctl --quiet add_user "$user" "$password"
done
own='^image-moderation(\.image\..*)?$'
rabbitmqctl --quiet set_permissions service "$own" "$own" "$own"
rabbitmqctl --quiet set_topic_permissions service image-moderation \
  '^image\.(blocked|unblocked|review-requested|dead-letter)$' '^image\.(reported|reviewed|dead-letter)$'
rabbitmqctl --quiet set_permissions producer '' '^image-moderation$' ''
rabbitmqctl --quiet set_topic_permissions producer image-moderation '^image\.reported$' ''
rabbitmqctl --quiet set_permissions moderator '' '^image-moderation$' ''
rabbitmqctl --quiet set_topic_permissions moderator image-moderation '^image\.reviewed$' ''
rabbitmqctl --quiet set_permissions consumer '^site\.' '^site\.' '^(site\.|image-moderation$)'
rabbitmqctl --quiet set_topic_permissions consumer image-moderation \
  '' '^image\.(blocked|unblocked|review-requested)$'
rabbitmqctl --quiet set_permissions operator \
  '^(image-moderation(\.image\..*)?|amq\..*)$' '^(image-moderation(\.image\..*)?|amq\..*)$' \
  '^(image-moderation(\.image\..*)?|amq\..*)$'
rabbitmqctl --quiet set_topic_permissions operator image-moderation '^image\.' '^image\.'
