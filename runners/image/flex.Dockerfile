# The launcher of a Dataflow flex template: HuntBeam's image, what submits to Google Cloud, and Google's launcher.
#   docker build -t huntbeam . && docker build -t huntbeam-flex -f runners/image/flex.Dockerfile .
ARG HUNTBEAM=huntbeam:latest
ARG LAUNCHER=gcr.io/dataflow-templates-base/python311-template-launcher-base:latest

FROM ${LAUNCHER} AS launcher

FROM ${HUNTBEAM}
USER 0
# The Java that stream needs for a moment: Beam's expansion service tells it what KafkaIO is.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/* \
 && pip install --no-cache-dir 'apache-beam[gcp]>=2.77,<2.79'
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
USER 1000
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/huntbeam/lib/python3.11/site-packages/huntbeam/runners/flex_template.py
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]
