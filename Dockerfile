# HuntBeam: the command line and the Python workers of Flink and Dataflow, in one image that does not run as root.
#   docker build -t huntbeam .
# docs/image.md says how it is used, and how it is built where no registry is in reach.
ARG BASE=debian:bookworm-slim
ARG BEAM_SDK=apache/beam_python3.11_sdk:2.77.0

# Beam's own image is used for one file: the program that starts a worker as Dataflow and Flink want it started.
FROM ${BEAM_SDK} AS beam

# The same Debian as below: a virtual environment does not move between Pythons.
FROM ${BASE} AS build
# Debian keeps no old versions, so that pinned ones could not be installed a month later.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY setup.py pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY transforms transforms
COPY pipelines pipelines
COPY runners runners
COPY rules rules
RUN python3 -m venv /opt/huntbeam \
 && /opt/huntbeam/bin/pip install --no-cache-dir '.[evtx]' \
 && find /opt/huntbeam -depth -type d -name tests -path '*/site-packages/*' -exec rm -r {} +

FROM ${BASE}
LABEL org.opencontainers.image.title="HuntBeam" \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 huntbeam
COPY --from=beam /opt/apache/beam/boot /opt/apache/beam/boot
COPY --from=build /opt/huntbeam /opt/huntbeam
COPY --chmod=755 runners/image/entrypoint.sh /opt/huntbeam/entrypoint.sh
# Workers take this environment as it is: Beam's starter would make another one for each of them.
ENV PATH=/opt/huntbeam/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER 1000
WORKDIR /home/huntbeam
ENTRYPOINT ["/opt/huntbeam/entrypoint.sh"]
CMD ["--help"]
