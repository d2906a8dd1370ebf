"""The options of a run on Google Cloud Dataflow, which replay, stream and monster share. Loads no Beam."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from huntbeam.pipelines.options import OptionError

DATAFLOW = "dataflow"


@dataclass(frozen=True, kw_only=True)
class DataflowOptions:
    """Where a job runs and with what. A template is the job's graph alone, to be started later."""

    project: str | None
    region: str | None
    temp_location: str | None
    image: str | None
    template: str | None


def add_dataflow_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares them."""
    cloud = parser.add_argument_group("Dataflow (--on dataflow; further options of it behind --)")
    cloud.add_argument("--project", metavar="ID", help="Google Cloud project")
    cloud.add_argument("--region", metavar="NAME", help="where the workers run, such as europe-west1")
    cloud.add_argument("--temp_location", metavar="gs://...", help="folder for what the job needs meanwhile")
    cloud.add_argument("--sdk_container_image", metavar="IMAGE", help="HuntBeam's image, in a registry (docs/image.md)")
    cloud.add_argument("--template_location", metavar="gs://...", help="write the job's graph there and start nothing")


def dataflow_options(args: argparse.Namespace) -> DataflowOptions | None:
    """The options as values; None where the run is none of Dataflow's. Raises OptionError."""
    if args.on != DATAFLOW:
        return None
    options = ("project", "region", "temp_location", "sdk_container_image")
    missing = [f"--{name}" for name in options if not getattr(args, name)]
    if missing:
        raise OptionError(f"--on dataflow needs {', '.join(missing)}; docs/cloud.md shows a whole command")
    for name in ("temp_location", "template_location"):
        written = getattr(args, name)
        if written and not written.startswith("gs://"):
            raise OptionError(f"--{name} {written}: Dataflow reads and writes gs:// alone")
    return DataflowOptions(
        project=args.project,
        region=args.region,
        temp_location=args.temp_location,
        image=args.sdk_container_image,
        template=args.template_location,
    )
