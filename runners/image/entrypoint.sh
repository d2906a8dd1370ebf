#!/bin/sh
# The image is two things: what starts a Python worker, for runners, which call it with Beam's own flags, and `huntbeam`.
case "${1-}" in
  --id=* | --id | --worker_pool | --provision_endpoint=*) exec /opt/apache/beam/boot "$@" ;;
  *) exec huntbeam "$@" ;;
esac
