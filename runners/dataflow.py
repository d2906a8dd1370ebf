"""Google Cloud Dataflow: the options of a job, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from huntbeam.pipelines.dataflow_options import DataflowOptions
from huntbeam.pipelines.graph import Wired
from huntbeam.pipelines.options import OptionError
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.files import remote_files
from huntbeam.transforms.formats import InputError

MISSING = (
    "--on dataflow needs what submits to Google Cloud: pip install 'huntbeam[dataflow]' (the image does not have it)"
)


def beam_options(cloud: DataflowOptions, job_name: str, further: Sequence[str], *, streaming: bool) -> PipelineOptions:
    """The options of the job; `further` come last and win."""
    written = {
        "--project": cloud.project,
        "--region": cloud.region,
        "--temp_location": cloud.temp_location,
        "--job_name": job_name,
        "--sdk_container_image": cloud.image,
        "--template_location": cloud.template,
    }
    flags = ["--streaming", "--enable_streaming_engine"] if streaming else []
    return PipelineOptions(
        [
            "--runner=DataflowRunner",
            *(f"{name}={value}" for name, value in written.items() if value is not None),
            "--experiments=use_runner_v2",  # the only workers that take an image of one's own and Java's KafkaIO
            "--sdk_location=container",  # Beam and HuntBeam are in the image; nothing is installed at a worker's start
            *flags,
            *further,
        ]
    )


def in_buckets(option: str, places: Iterable[str]) -> None:
    """Raises OptionError for a place that Dataflow's workers do not have."""
    for place in places:
        if not place.startswith("gs://"):
            raise OptionError(f"{option} {place}: Dataflow's workers see gs:// alone")


def check_places(steps: Wired) -> None:
    """The same for the files that steps read while the job runs."""
    in_buckets("--geoip", steps.geoip)
    in_buckets("--baseline", [steps.baseline.path] if steps.baseline is not None else [])


def check_folders(cloud: DataflowOptions) -> None:
    """Raises UnusableError for a folder of the job whose bucket is missing or forbidden: Beam would try for minutes."""
    for option, place in (("--temp_location", cloud.temp_location), ("--template_location", cloud.template)):
        if place:
            try:
                remote_files(f"{place.rstrip('/')}/huntbeam-looks*")
            except InputError as error:
                raise UnusableError(f"{option}: {error}") from error


def submit(options: PipelineOptions, build: Callable[[beam.Pipeline], None]) -> PipelineResult | None:
    """Submits what `build` puts into a pipeline; None: the graph was written as a template. Raises UnusableError."""
    try:
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
        from apitools.base.py import exceptions as _  # type: ignore[import-untyped]  # noqa: F401 - is it installed
    except ImportError as error:
        raise UnusableError(MISSING) from error
    try:
        pipeline = beam.Pipeline(runner=DataflowRunner(), options=options)
    except ValueError as error:  # a heading, and then a line for each option that Dataflow would refuse
        raise UnusableError(f"--on dataflow: {' '.join(str(error).splitlines()[1:]) or error}") from error
    build(pipeline)
    result = pipeline.run()
    return result if result.has_job else None


def say_template(place: str, quiet: bool) -> None:
    """That the graph is written."""
    if not quiet:
        print(f"huntbeam: the job's graph is {place}", file=sys.stderr)
