# PgBouncer as Debian has it, which is the one that the tests run: there is no official image.
#
#   docker build -f deploy/container/pgbouncer.Dockerfile -t renown-pgbouncer:1.18 deploy/container
ARG BASE=debian:bookworm-slim
FROM ${BASE}
# The suite is stable: it takes security fixes and no new versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends pgbouncer \
    && rm -rf /var/lib/apt/lists/*
USER 65534:65534
EXPOSE 6432
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/sbin/pgbouncer"]
CMD ["/etc/pgbouncer/pgbouncer.ini"]
